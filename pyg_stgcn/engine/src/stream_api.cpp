// The functions of the C interface about streams. No exception leaves them.

#include <stdio.h>

#include <algorithm>
#include <exception>
#include <memory>
#include <vector>

#include "model.h"
#include "stgcn.h"
#include "stream.h"

struct stgcn_stream {
  stgcn_stream(stgcn_model* model, const stgcn::StreamOptions& options)
      : stream(stgcn::open_stream(model->program, model->kernels, options)),
        classifier(model->program),
        features(size_t(model->program.features)),
        sums(size_t(model->program.classes)) {}

  // Calls work, which returns the number of answers or -1, and writes the probabilities of the last.
  template <class Work>
  int answer(float* probabilities, const Work& work) {
    message[0] = '\0';
    try {
      const int64_t answers = work(stgcn::Message{message, sizeof message});
      if (answers > 0 && !classify(probabilities)) return STGCN_ERROR;
      return int(answers);
    } catch (const std::exception& error) {
      snprintf(message, sizeof message, "%s", error.what());
      return STGCN_ERROR;
    }
  }

  bool classify(float* probabilities) {
    stream->features(features.data());
    std::fill(sums.begin(), sums.end(), 0.0);
    if (!classifier.add_probabilities(features.data(), sums.data())) {
      snprintf(message, sizeof message, "%s", stgcn::kNotFinite);
      return false;
    }
    for (size_t c = 0; c < sums.size(); ++c) probabilities[c] = float(sums[c]);
    return true;
  }

  // Whether frames of this kind may follow; if not, there is a message: after the end, and for raw
  // frames between prepared ones.
  enum class Kind : uint8_t { none, raw, prepared, ended };
  bool begin(Kind now, int64_t frames) {
    if (frames < 0) {
      snprintf(message, sizeof message, "frames: %lld is less than 0",
               static_cast<long long>(frames));
      return false;
    }
    if (kind == Kind::none) kind = now;
    if (kind == now) return true;
    snprintf(message, sizeof message, "%s",
             kind == Kind::ended ? "the stream has ended; reset it for another person"
                                 : "raw frames and prepared ones do not mix; reset the stream first");
    return false;
  }

  std::unique_ptr<stgcn::Stream> stream;
  stgcn::Classifier classifier;
  std::vector<float> features;
  std::vector<double> sums;
  Kind kind = Kind::none;
  char message[512] = "";
};

using Kind = stgcn_stream::Kind;

stgcn_stream* stgcn_stream_open(stgcn_model* model, int window, int hop, float height, float width,
                                char* message, size_t size) {
  return stgcn::guarded(message, size, [&] {
    return new stgcn_stream(model, {window, hop, height, width});
  });
}

void stgcn_stream_close(stgcn_stream* stream) { delete stream; }

const char* stgcn_stream_error(const stgcn_stream* stream) { return stream ? stream->message : ""; }

void stgcn_stream_reset(stgcn_stream* stream) {
  stream->stream->reset();
  stream->kind = Kind::none;
  stream->message[0] = '\0';
}

int stgcn_stream_delay(const stgcn_stream* stream) { return int(stream->stream->delay()); }

int stgcn_stream_push(stgcn_stream* stream, const float* joints, int64_t frames, int channels,
                      float* probabilities) {
  return stream->answer(probabilities, [&](stgcn::Message message) {
    if (!stream->begin(Kind::raw, frames)) return int64_t(STGCN_ERROR);
    return stream->stream->push(joints, frames, channels, message);
  });
}

int stgcn_stream_push_prepared(stgcn_stream* stream, const float* x, int64_t frames,
                               float* probabilities) {
  return stream->answer(probabilities, [&](stgcn::Message message) {
    if (!stream->begin(Kind::prepared, frames)) return int64_t(STGCN_ERROR);
    return stream->stream->push_prepared(x, frames, message);
  });
}

int stgcn_stream_finish(stgcn_stream* stream, float* probabilities) {
  return stream->answer(probabilities, [&](stgcn::Message message) {
    if (stream->kind == Kind::none || stream->kind == Kind::ended) return int64_t(0);
    stream->kind = Kind::ended;
    return stream->stream->finish(message);
  });
}

int stgcn_stream_features(const stgcn_stream* stream, float* features) {
  return stream->stream->features(features) ? 1 : 0;
}
