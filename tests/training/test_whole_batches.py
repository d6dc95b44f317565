"""The Keras function that is replaced for multi-device training, and the refusal of incompatible Keras versions."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("jax")
keras = pytest.importorskip("keras")

from mien.errors import ModelError  # noqa: E402
from mien.training import whole_batches  # noqa: E402
from mien.training.whole_batches import NAME, dividing_whole_batches  # noqa: E402


def test_installed_keras_has_the_known_batch_distribution_function() -> None:
    # If this fails after an update of Keras, see the module's docstring: adapt it, or raise its limit in pyproject.toml.
    module = whole_batches._known_module()
    original = getattr(module, NAME)
    with dividing_whole_batches():
        assert getattr(module, NAME) is whole_batches._distribute
    assert getattr(module, NAME) is original


def test_keras_function_is_restored_after_an_error() -> None:
    module = whole_batches._known_module()
    original = getattr(module, NAME)
    with pytest.raises(KeyError), dividing_whole_batches():
        raise KeyError
    assert getattr(module, NAME) is original


def other_parameters(batch: Any) -> Any:
    return batch


def calls_something_else() -> None:
    keras.version()


@pytest.mark.parametrize(
    ("module", "caller"),
    [
        (SimpleNamespace(), SimpleNamespace()),
        (SimpleNamespace(**{NAME: other_parameters}), SimpleNamespace()),
        (SimpleNamespace(**{NAME: whole_batches._distribute}), SimpleNamespace(one=calls_something_else)),
    ],
)
def test_incompatible_keras_is_refused(monkeypatch: pytest.MonkeyPatch, module: Any, caller: Any) -> None:
    modules = {whole_batches._MODULE: module, whole_batches._CALLER: caller}
    monkeypatch.setattr(whole_batches, "import_module", modules.__getitem__)
    with (
        pytest.raises(ModelError, match=rf"Keras 3\.8 to 3\.15, and Keras {keras.__version__}.*keras<3\.16"),
        dividing_whole_batches(),
    ):
        pass


def test_distribute_shards_batches_and_replicates_scalars() -> None:
    import jax

    mesh = jax.sharding.Mesh(np.array(jax.devices("cpu")[:1]), ["batch"])
    layout = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("batch"))
    batch = np.arange(6.0).reshape(3, 2)
    found = whole_batches._distribute(batch, layout, "batch")
    assert found.sharding.spec == layout.spec
    np.testing.assert_array_equal(found, batch)
    scalar = whole_batches._distribute(np.float32(2), SimpleNamespace(backend_layout=layout))
    assert scalar.sharding.spec == jax.sharding.PartitionSpec()
