// The functions of the C interface about models. No exception leaves them: only opening throws.

#include <algorithm>
#include <utility>
#include <vector>

#include "model.h"
#include "stgcn.h"
#include "stream.h"

namespace {

using stgcn::File;
using stgcn::Person;

// Persons of prepared input, clip by clip.
class Persons {
 public:
  Persons(const stgcn::Program& program, const float* x, const int64_t* batch, int64_t frames)
      : joints_(program.joints), batch_(batch), person_{x, frames * program.channels,
                                                        program.channels, frames, -1} {}

  // The next person; they must not be more than there are.
  const Person& next() {
    ++number_;
    const int64_t clip = batch_ ? batch_[number_ * joints_] : 0;
    if (number_ > 0) person_.data += joints_ * person_.joint;
    person_.position = clip == clip_ ? person_.position + 1 : 0;
    clip_ = clip;
    return person_;
  }
  // Whose clip that is.
  int64_t clip() const { return clip_; }

 private:
  const int64_t joints_;
  const int64_t* batch_;
  Person person_;
  int64_t number_ = -1, clip_ = -1;
};

// Checks the clips of prepared input, and sets the frames.
bool begin(stgcn_model* model, const int64_t* batch, int64_t persons, int64_t frames,
           int64_t clips) {
  model->message[0] = '\0';
  if (persons < 0 || clips < 0) {
    model->fail("x: %lld persons in %lld clips", static_cast<long long>(persons),
                static_cast<long long>(clips));
    return false;
  }
  const int64_t rows = persons * model->program.joints;
  int64_t last = 0;
  for (int64_t i = 0; i < rows; ++i) {
    const int64_t clip = batch ? batch[i] : 0;
    const bool same = i % model->program.joints == 0 || clip == last;
    if (clip < last || clip >= clips || !same) {
      model->fail("batch: row %lld belongs to clip %lld after clip %lld of %lld; the clips must "
                  "ascend, and the joints of a person belong to one",
                  static_cast<long long>(i), static_cast<long long>(clip),
                  static_cast<long long>(last), static_cast<long long>(clips));
      return false;
    }
    last = clip;
  }
  return model->set_frames(frames);
}

// Adds the probabilities of all views of the clip that the preparation has opened.
bool add_views(stgcn_model* model, int views) {
  const stgcn::Program& program = model->program;
  stgcn::Preparation& preparation = model->preparation;
  const int64_t persons = preparation.persons(), frames = program.input.frames;
  const float each = 1 / float(persons);
  for (int view = 0; view < views; ++view) {
    std::fill(model->features.begin(), model->features.end(), 0.0f);
    for (int64_t p = 0; p < persons; ++p) {
      const Person person = {model->input.get(), frames * program.channels, program.channels,
                             frames, p};
      preparation.fill(p, view, model->input.get(), person.joint, person.frame);
      model->run(person, model->person.data());
      for (size_t i = 0; i < model->person.size(); ++i)
        model->features[i] += each * model->person[i];
    }
    if (!model->classifier.add_probabilities(model->features.data(), model->probabilities.data()))
      return false;
  }
  return true;
}

void take_probabilities(stgcn_model* model, double factor, float* probabilities) {
  for (const double value : model->probabilities) *probabilities++ = float(value * factor);
}

stgcn_model* open_file(File file, int threads) { return new stgcn_model(std::move(file), threads); }

}  // namespace

stgcn_model* stgcn_open(const char* path, int threads, char* message, size_t size) {
  return stgcn::guarded(message, size, [&] { return open_file(File::open(path), threads); });
}

stgcn_model* stgcn_open_bytes(const void* bytes, size_t count, int threads, char* message,
                              size_t size) {
  return stgcn::guarded(message, size,
                        [&] { return open_file(File::of_bytes(bytes, count), threads); });
}

void stgcn_close(stgcn_model* model) { delete model; }

const char* stgcn_error(const stgcn_model* model) { return model ? model->message : ""; }

int stgcn_version(void) { return STGCN_VERSION; }

const char* stgcn_kernels(const stgcn_model* model) { return model->kernels->name; }

int stgcn_num_classes(const stgcn_model* model) { return int(model->program.classes); }

int stgcn_num_joints(const stgcn_model* model) { return int(model->program.joints); }

int stgcn_num_channels(const stgcn_model* model) { return int(model->program.channels); }

int stgcn_num_features(const stgcn_model* model) { return int(model->program.features); }

int stgcn_clip_frames(const stgcn_model* model) { return int(model->program.input.frames); }

int stgcn_is_planar(const stgcn_model* model) { return model->program.input.planar; }

int stgcn_is_continual(const stgcn_model* model) {
  return stgcn::is_continual(model->program);
}

const char* stgcn_class_name(const stgcn_model* model, int number) {
  const bool known = number >= 0 && number < stgcn_num_classes(model);
  return known ? model->program.class_names[size_t(number)].c_str() : nullptr;
}

const char* stgcn_about(const stgcn_model* model) { return model->program.about.c_str(); }

int stgcn_classify(stgcn_model* model, const float* joints, int64_t persons, int64_t frames,
                   int channels, float height, float width, int views, float* probabilities) {
  model->message[0] = '\0';
  const stgcn::RawClip clip = {joints, persons, frames, channels, height, width};
  if (!model->preparation.open(clip, views, model->message, sizeof model->message))
    return STGCN_ERROR;
  std::fill(model->probabilities.begin(), model->probabilities.end(), 0.0);
  if (model->preparation.seen() > 0) {
    if (!model->set_frames(model->program.input.frames)) return STGCN_ERROR;
    if (!add_views(model, views)) return model->fail("%s", stgcn::kNotFinite);
  }
  take_probabilities(model, 1.0 / views, probabilities);
  return int(model->preparation.seen());
}

int stgcn_logits(stgcn_model* model, const float* x, const int64_t* batch, int64_t persons,
                 int64_t frames, int64_t clips, float* logits) {
  if (!begin(model, batch, persons, frames, clips)) return STGCN_ERROR;
  Persons all(model->program, x, batch, frames);
  std::vector<float>& features = model->features;
  const Person* person = persons > 0 ? &all.next() : nullptr;
  int64_t done = 0;
  for (int64_t clip = 0; clip < clips; ++clip, logits += model->program.classes) {
    std::fill(features.begin(), features.end(), 0.0f);
    int64_t count = 0;
    for (; done < persons && all.clip() == clip; ++count) {
      model->run(*person, model->person.data());
      for (size_t i = 0; i < features.size(); ++i) features[i] += model->person[i];
      if (++done < persons) person = &all.next();
    }
    // A clip of nobody has features of zero.
    for (float& value : features) value /= float(std::max<int64_t>(count, 1));
    model->classifier.logits(features.data(), logits);
  }
  return 0;
}

int stgcn_features(stgcn_model* model, const float* x, const int64_t* batch, int64_t persons,
                   int64_t frames, float* features) {
  if (!begin(model, batch, persons, frames, INT64_MAX)) return STGCN_ERROR;
  Persons all(model->program, x, batch, frames);
  for (int64_t p = 0; p < persons; ++p, features += model->program.features)
    model->run(all.next(), features);
  return 0;
}

int stgcn_classify_features(stgcn_model* model, const float* features, float* probabilities) {
  model->message[0] = '\0';
  std::fill(model->probabilities.begin(), model->probabilities.end(), 0.0);
  if (!model->classifier.add_probabilities(features, model->probabilities.data()))
    return model->fail("features: they are not finite, or too large");
  take_probabilities(model, 1, probabilities);
  return 0;
}
