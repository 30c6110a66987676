"""C3D (arXiv:1412.0767) as mmaction2 fine-tunes it.

Facts from open-mmlab/mmaction2 (configs/recognition/c3d and its metafile.yml).
"""

from __future__ import annotations

from ...types import EvalProtocol, InputSpec
from ..config import Augment, Optim, Phase, Recipe, register_recipe

# mmaction2 subtracts these from red, green and blue of 0 to 255, and scales nothing.
MEAN = (104 / 255, 117 / 255, 128 / 255)
STD = (1 / 255,)


@register_recipe()
def c3d_ucf101() -> Recipe:
    """UCF-101 split 1, 16 neighbouring frames: 82.92 % top-1 from Sports-1M, ten clips.

    Set `init` to the file of a model trained on Sports-1M; from scratch the figure is out of reach.
    45 epochs, rate 0.001 for 240 clips, divided by 10 at 20 and 40.
    """
    return Recipe(
        name="c3d_ucf101",
        dataset="ucf101",
        model="c3d",
        model_args={"dropout": 0.5},
        input=InputSpec(
            frames=16, sampling="dense", stride=1, resize=128, crop=112, mean=MEAN, std=STD
        ),
        phases=(Phase(frames=16, epochs=45, batch=240, lr=0.001, lr_batch=240, schedule=(20, 40)),),
        optim=Optim(momentum=0.9, weight_decay=5e-4, clip=40.0),
        augment=Augment(crop="random", flip=True),
        eval=EvalProtocol(views=10, average="prob"),
    )
