"""Folders of models, and their exchange with the Hugging Face Hub."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from safetensors.torch import save_file
from torch import Tensor, nn

from pyg_stgcn.checked import brief, check_entries
from pyg_stgcn.errors import InputError
from pyg_stgcn.files import write_atomically
from pyg_stgcn.jsonfile import read_json
from pyg_stgcn.models.assembly import Assembly
from pyg_stgcn.models.backbone import Backbone
from pyg_stgcn.models.model_card import model_card
from pyg_stgcn.models.registry import build_model, list_models, option_names
from pyg_stgcn.models.shrinking.fit_layers import fit
from pyg_stgcn.models.weights import read_weights, with_weights
from pyg_stgcn.skeletons import Skeleton

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
#: Folders written before there were shrunken networks lack it.
_LATER_ENTRIES = {"shrunken": list[bool]}
_REMEDY = "name a folder of save_pretrained, or a repository of push_to_hub"
_ENTRIES = {
    "library_name": str,
    "backbones": list[dict[str, Any]],
    "assembly": bool,
    "learned_weights": bool,
    "num_classes": int,
    "skeleton": dict,
    "classes": list[str] | None,
    "preprocessing": dict | None,
}


def write_folder(
    model: object,
    folder: Path,
    classes: Sequence[str] | None,
    preprocessing: Mapping[str, Any] | None,
    results: Mapping[str, float] | None,
) -> Path:
    """Writes a model to a folder, see :meth:`~pyg_stgcn.models.Backbone.save_pretrained`."""
    assert isinstance(model, Backbone | Assembly)
    if classes is not None and len(classes) != model.num_classes:
        raise InputError(
            f"classes: {len(classes)} names, the model has {model.num_classes} classes; name all"
        )
    state = {name: value.contiguous().cpu() for name, value in model.state_dict().items()}
    if any(".parametrizations." in name for name in state):
        raise InputError(f"{type(model).__name__}: has masks; finalize() them first")
    experts: list[Any] = list(model.experts) if isinstance(model, Assembly) else [model]
    config = {
        "library_name": "pyg-stgcn",
        "backbones": [_options_of(expert) for expert in experts],
        "shrunken": [expert.is_shrunken for expert in experts],
        "assembly": isinstance(model, Assembly),
        "learned_weights": getattr(model, "expert_factors", None) is not None,
        "num_classes": model.num_classes,
        "skeleton": model.skeleton.to_dict(),
        "classes": None if classes is None else list(classes),
        "preprocessing": None if preprocessing is None else dict(preprocessing),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        metadata = {"format": "pt"}
        write_atomically(folder / WEIGHTS, lambda file: save_file(state, file, metadata))
        text = json.dumps(config, indent=2, ensure_ascii=False) + "\n"
        write_atomically(folder / CONFIG, lambda file: file.write_text(text, encoding="utf-8"))
        card = model_card(model, config, (folder / WEIGHTS).stat().st_size, results or {})
        write_atomically(folder / CARD, lambda file: file.write_text(card, encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be written ({error.strerror or error}); choose another folder"
        ) from None
    return folder


def _options_of(model: nn.Module) -> dict[str, Any]:
    """A backbone as the arguments of :func:`~pyg_stgcn.models.create_model`."""
    name = type(model).__name__.lower()
    if name not in list_models():
        raise InputError(
            f"{type(model).__name__}: is no registered model; decorate its class with "
            "@register_model, and import it before from_pretrained"
        )
    options = {"name": name}
    for option in option_names(name):
        if not hasattr(model, option):
            raise InputError(
                f"{type(model).__name__}: its option {option} is unknown; keep it as an attribute"
            )
        options[option] = getattr(model, option)
    return options


def read_folder(folder: Path) -> tuple[Backbone | Assembly, dict[str, Any]]:
    """The model of a folder, in evaluation mode, and its ``config.json``.

    Raises:
        InputError: A file is missing or damaged, or they do not fit each other.
    """
    config = read_json(folder / CONFIG, _REMEDY)
    check_entries(config, _ENTRIES, folder / CONFIG, _REMEDY)
    check_entries(config, _LATER_ENTRIES, folder / CONFIG, _REMEDY, all_needed=False)
    config.setdefault("shrunken", [False] * len(config["backbones"]))
    try:
        skeleton = Skeleton.from_dict(config["skeleton"])
    except InputError as error:
        raise InputError(f"{folder / CONFIG}: skeleton: {brief(error)}; {_REMEDY}") from None
    num_experts = len(config["backbones"]) if config["assembly"] else 0
    weights = read_weights(folder / WEIGHTS, _REMEDY)
    model = with_weights(
        lambda: _build(config, skeleton, weights), weights, num_experts, folder / CONFIG, _REMEDY
    )
    assert isinstance(model, Backbone | Assembly)
    return model.eval(), config


def _build(
    config: Mapping[str, Any], skeleton: Skeleton, weights: Mapping[str, Tensor]
) -> Backbone | Assembly:
    backbones = []
    entries = zip(config["backbones"], config["shrunken"], strict=True)
    for number, (entry, shrunken) in enumerate(entries):
        options = dict(entry)
        name = options.pop("name")
        model = build_model(name, config["num_classes"], skeleton, options)
        if shrunken:
            prefix = f"experts.{number}." if config["assembly"] else ""
            own = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
            fit(model, own)
        backbones.append(model)
    if config["assembly"]:
        return Assembly(backbones, learned_weights=config["learned_weights"])
    return backbones[0]


def fetch_folder(
    source: str | os.PathLike[str], *, revision: str | None = None, **download: Any
) -> Path:
    """A folder as it is, or the files of a repository of the Hugging Face Hub, fetched once.

    Raises:
        InputError: It is neither, or cannot be fetched.
    """
    if Path(source).is_dir():
        return Path(source)
    hub = _hub(f"{source}: is no folder, and to fetch a repository")
    try:
        found = hub.snapshot_download(
            os.fspath(source), revision=revision, allow_patterns=[CONFIG, WEIGHTS], **download
        )
    except Exception as error:  # Also those of the libraries below, such as httpx.
        raise InputError(
            f"{source}: is no folder, and cannot be fetched from the Hugging Face Hub "
            f"({brief(error)}); {_REMEDY}"
        ) from error
    return Path(found)


def upload(
    write: Callable[[Path], object],
    repo_id: str,
    *,
    private: bool | None,
    token: str | None,
    revision: str | None,
    commit_message: str,
) -> str:
    """Uploads the files that :obj:`write` puts into a folder.

    Returns:
        Address of the commit.

    Raises:
        InputError: The upload fails.
    """
    hub = _hub(f"{repo_id}: to upload")
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder))
        api = hub.HfApi(token=token)
        try:
            made = api.create_repo(repo_id, private=private, exist_ok=True)
            commit = api.upload_folder(
                repo_id=made.repo_id,
                folder_path=folder,
                revision=revision,
                commit_message=commit_message,
            )
        except Exception as error:  # Also those of the libraries below, such as httpx.
            raise InputError(
                f"{repo_id}: cannot be uploaded to the Hugging Face Hub ({brief(error)}); check "
                "the name and the network, and log in with 'hf auth login'"
            ) from error
    return str(commit.commit_url)


def _hub(purpose: str) -> ModuleType:
    try:
        import huggingface_hub
    except ImportError:
        raise InputError(
            f'{purpose} huggingface_hub is needed; pip install "pyg-stgcn[hub]"'
        ) from None
    return huggingface_hub
