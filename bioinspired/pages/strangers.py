"""What a command line names of a stranger's: a function in a file, and images."""

import importlib.util
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bioinspired.errors import UserError


def function(named: str) -> Any:
    """An object in a file, named as "my_model.py:build".

    Raises:
        UserError: the file or the name in it is not there, or the file does not run.
    """
    file, _, name = named.rpartition(":")
    path = Path(file)
    if not file or path.suffix != ".py" or not path.is_file():
        raise UserError(f'"{named}" names no function in a file: write it as my_model.py:build.')
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.resolve().parent))
    sys.modules.setdefault(path.stem, module)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise UserError(f"{file} does not run ({type(error).__name__}: {error}): repair it.") from error
    finally:
        sys.path.pop(0)
    if not hasattr(module, name):
        raise UserError(f"{file} has no {name}: name one of its functions.")
    return getattr(module, name)


def model(named: str) -> Any:
    """A model, from a function without arguments that builds it; a module itself is taken as it is.

    Raises:
        UserError: see `function`; or building it fails, or gives no callable.
    """
    made = function(named)
    if not isinstance(made, torch.nn.Module):
        try:
            made = made()
        except UserError:
            raise
        except Exception as error:
            raise UserError(
                f"{named} does not build a model ({type(error).__name__}: {error}): it takes no arguments and returns "
                "a callable from images in [0, 1] to logits."
            ) from error
    if not callable(made):
        raise UserError(f"{named} returned {type(made).__name__}: return a callable from images in [0, 1] to logits.")
    return made


def images(named: Any, n: int) -> tuple[Tensor, Tensor]:
    """Images in [0, 1] and labels: of one of our data sets, of a folder of images by class, or of a function.

    Raises:
        UserError: there is no such data.
    """
    if named.rpartition(":")[0].endswith(".py"):
        given = function(named)()
        if not isinstance(given, tuple) or len(given) != 2:
            raise UserError(f"{named} returned {type(given).__name__}: return images and labels, two tensors.")
        return given[0][:n], given[1][:n]
    if Path(named).is_dir():
        return _folder(Path(named), n)
    from bioinspired.data import load, select
    from bioinspired.declarations import Images

    split = load(named, "test")
    chosen = select(split, Images(n=min(n, len(split.labels))))
    return chosen.images.float() / 255, chosen.labels


def _folder(path: Path, n: int) -> tuple[Tensor, Tensor]:
    from torchvision.datasets import ImageFolder
    from torchvision.transforms.functional import pil_to_tensor

    try:
        found = ImageFolder(str(path))
    except FileNotFoundError as error:
        raise UserError(f"{path} holds no images by class: put them into one folder per class.") from error
    rows = torch.randperm(len(found), generator=torch.Generator("cpu").manual_seed(0))[:n].tolist()
    pairs = [found[row] for row in rows]
    shapes = {image.size for image, _ in pairs}
    if len(shapes) > 1:
        raise UserError(f"The images in {path} have {len(shapes)} sizes: bring them to one size first.")
    return torch.stack([pil_to_tensor(image) for image, _ in pairs]).float() / 255, torch.tensor([y for _, y in pairs])
