"""TAM on a plain ResNet: how its three starts differ before anything is learned."""

import pytest
import torch

from kinema import create_model


@pytest.mark.parametrize(
    ("start", "blind"), [("official", False), ("identity", True), ("tsm", False)]
)
def test_only_from_identity_is_the_untrained_network_blind_to_order(
    start: str, blind: bool
) -> None:
    """Nothing about order reaches the classifier then: why small networks learn nothing from it."""
    torch.manual_seed(0)
    model = create_model("tam_resnet18", num_classes=4, width=8, dropout=0.0, tam_init=start).eval()
    clip = torch.randn(2, 3, 8, 32, 32)
    with torch.no_grad():
        forward, backward = model(clip), model(clip.flip(2))
    change = float((forward - backward).norm() / forward.std(0).norm())
    assert change < 1e-4 if blind else change > 0.1
