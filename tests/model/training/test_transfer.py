"""The weights of a bundle in a network with other channels and classes: what is matched answers as before."""

import numpy as np
import pytest
import torch

from kinestream.model.network.make import make_network
from kinestream.model.training.transfer import transferred
from tests.given.bundles import SMALL_NETWORKS, random_bundle

LENGTH = 8


@pytest.fixture(params=SMALL_NETWORKS)
def bundle(request):
    return random_bundle(3, 4, length=LENGTH, **SMALL_NETWORKS[request.param])


def started(bundle, inputs, classes):
    """Return a fresh network with the bundle's weights, and the fresh weights."""
    torch.manual_seed(1)
    network = make_network(bundle.description.network, len(inputs), len(classes), LENGTH).eval()
    fresh = {name: tensor.numpy().copy() for name, tensor in network.state_dict().items()}
    placed = transferred(bundle, fresh, inputs, classes)
    network.load_state_dict({name: torch.from_numpy(values) for name, (values, _) in placed.items()})
    return network, fresh


def answers(network, windows):
    with torch.inference_mode():
        return network(torch.from_numpy(windows)).numpy()


def expected(bundle, windows):
    about = bundle.description
    network = make_network(about.network, len(bundle.inputs), len(about.classes), LENGTH).eval()
    network.load_state_dict({name: torch.from_numpy(values) for name, values in bundle.weights.items()})
    return answers(network, windows)


def windows(channels):
    return np.random.default_rng(0).normal(size=(5, LENGTH, channels)).astype(np.float32)


CHANNELS = ["c0", "c1", "c2"]
KNOWN = ["class0", "class1", "class2", "class3"]


def test_the_same_channels_and_classes_give_the_bundles_answers(bundle):
    x = windows(3)
    network, _ = started(bundle, CHANNELS, KNOWN)
    np.testing.assert_array_equal(answers(network, x), expected(bundle, x))


def test_channels_and_classes_in_another_order_give_the_same_answers(bundle):
    x = windows(3)
    network, _ = started(bundle, ["c2", "c0", "c1"], [KNOWN[i] for i in (3, 1, 0, 2)])
    found = answers(network, np.ascontiguousarray(x[:, :, [2, 0, 1]]))
    np.testing.assert_allclose(found, expected(bundle, x)[:, [3, 1, 0, 2]], rtol=1e-4, atol=1e-5)


def test_a_new_channel_changes_no_answer_at_first_but_can_learn_to(bundle):
    x = windows(4)
    names = ["c0", "hip", "c1", "c2"]
    network, fresh = started(bundle, names, KNOWN)
    known = np.ascontiguousarray(x[:, :, [0, 2, 3]])
    np.testing.assert_allclose(answers(network, x), expected(bundle, known), rtol=1e-4, atol=1e-5)
    network(torch.from_numpy(x)).sum().backward()
    gradients = {name: parameter.grad.numpy() for name, parameter in network.named_parameters()}
    new = {name: ~kept for name, (_, kept) in transferred(bundle, fresh, names, KNOWN).items() if not kept.all()}
    assert new
    assert all(gradients[name][columns].all() for name, columns in new.items())


def test_a_channel_that_is_gone_is_as_one_that_stays_at_its_mean(bundle):
    if bundle.description.network.kind == "deepconvlstm":
        pytest.skip("its convolutions make something of a channel at its mean, too")
    x = windows(3)
    x[:, :, 1] = 0
    network, _ = started(bundle, ["c0", "c2"], KNOWN)
    found = answers(network, np.ascontiguousarray(x[:, :, [0, 2]]))
    np.testing.assert_allclose(found, expected(bundle, x), rtol=1e-4, atol=1e-5)


def test_fewer_and_new_classes_keep_the_rows_of_the_known(bundle):
    x = windows(3)
    network, fresh = started(bundle, CHANNELS, ["class2", "jump", "class0"])
    np.testing.assert_allclose(answers(network, x)[:, [0, 2]], expected(bundle, x)[:, [2, 0]], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(network.head.weight.detach()[1], fresh["head.weight"][1])
