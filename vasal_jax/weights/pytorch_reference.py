"""The released graph stated in PyTorch, under the released names. For parity checks and benchmarks only.

Written from the layer list of the release, so that a released checkpoint's state dict loads as it is. Nothing of the
library imports this module but `convert_weights.py --verify`; PyTorch is needed for nothing else.
"""

from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vasal_jax.config import ModelConfig


class VASalReference(nn.Module):
    """The model on one clip, channels first: the clip's frames are the batch axis and the ConvLSTM's time axis."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        t, m, c, a, s = config.texture, config.motion, config.combine, config.audio, config.fusion
        self.conv1_1 = nn.Conv2d(3, t[0], 3, padding=1)
        self.conv1_2 = nn.Conv2d(t[0], t[1], 3, padding=1)
        self.conv2_1 = nn.Conv2d(t[1], t[2], 3, padding=1)
        self.conv2_2 = nn.Conv2d(t[2], t[3], 3, padding=1)
        self.conv3_1 = nn.Conv2d(t[3], t[4], 3, padding=1)
        self.conv4_1 = nn.Conv2d(t[4], t[5], 3, padding=1)
        self.flow_conv1 = _flow(6, m[0], 7)
        self.flow_conv2 = _flow(m[0], m[1], 5)
        self.flow_conv3 = _flow(m[1], m[2], 5)
        self.flow_deconv5 = nn.Sequential(
            nn.ConvTranspose2d(m[2], m[3], 4, stride=2, padding=1, bias=False), nn.LeakyReLU(0.1)
        )
        self.combine_conv1 = nn.Conv2d(m[3] + t[5], c[0], 3, padding=1)
        self.combine_conv2 = nn.Conv2d(c[0], c[1], 3, padding=1)
        self.combine_conv3 = nn.Conv2d(c[1], c[2], 3, padding=1)
        self.cell0 = _Cell(c[2], config.lstm[0])
        self.cell1 = _Cell(config.lstm[0], config.lstm[1])
        self.conv1_3d = nn.Conv3d(1, a[0], 3, padding=1)
        self.conv2a_3d = nn.Conv3d(a[0], a[1], 3, padding=1)
        self.conv2b_3d = nn.Conv3d(a[1], a[2], 3, padding=1)
        self.conv3_3d = nn.Conv3d(a[2], a[3], 3, padding=1)
        for sense, width in (("visual", config.lstm[1]), ("audio", 2 * a[3]), ("face", 1)):
            self.add_module(f"conv_normal_{sense}1", nn.Conv2d(width, s, 3, padding=1))
            self.add_module(f"conv_normal_{sense}2", nn.Conv2d(s + width, s, 3, padding=1))
        self.visual_hmap = nn.Conv2d(3 * s, 1, 1)

    def forward(
        self, x1: Tensor, x2: Tensor, x3: Tensor, x4: Tensor, stages: dict[str, Tensor] | None = None
    ) -> Tensor:
        """Logits (T, 1, 32, 32).

        Args:
          x1, x2: (T, 3, 256, 256), frames t and t+5, RGB minus its mean.
          x3: (T, 1, 16, 64, 64), log-mel pictures of frame t+5.
          x4: (T, 1, 32, 32), face map of frame t+5.
          stages: where to leave the layers' outputs by name.
        """
        stages = {} if stages is None else stages
        x = F.relu(self.conv1_2(F.relu(self.conv1_1(x2))))
        x = F.relu(self.conv2_2(F.relu(self.conv2_1(F.max_pool2d(x, 2)))))
        x = F.relu(self.conv3_1(F.max_pool2d(x, 2)))
        stages["object_conv4_preact"] = x = self.conv4_1(F.max_pool2d(x, 2))
        texture = F.relu(x)
        x = self.flow_conv3(self.flow_conv2(self.flow_conv1(torch.cat([x1, x2], 1))))
        stages["motion"] = motion = self.flow_deconv5(F.max_pool2d(x, 2))
        x = F.relu(self.combine_conv1(torch.cat([motion, texture], 1)))
        x = F.relu(self.combine_conv2(x))
        stages["combine_preact"] = x = self.combine_conv3(x)
        stages["convlstm"] = visual = self.cell1(self.cell0(F.relu(x)))

        x = F.max_pool3d(F.relu(self.conv1_3d(x3)), 2)
        x = F.max_pool3d(F.relu(self.conv2b_3d(F.relu(self.conv2a_3d(x)))), (2, 1, 1))
        stages["audio_conv3_preact"] = x = self.conv3_3d(x)
        audio = F.max_pool3d(F.relu(x), (2, 1, 1)).flatten(1, 2)

        senses = {"visual": visual, "audio": audio, "face": x4}
        total = reduce(torch.add, (F.relu(self.get_submodule(f"conv_normal_{n}1")(x)) for n, x in senses.items()))
        again = [F.relu(self.get_submodule(f"conv_normal_{n}2")(torch.cat([total, x], 1))) for n, x in senses.items()]
        stages["logits"] = logits = self.visual_hmap(torch.cat(again, 1))
        return logits


class _Cell(nn.Module):
    """A ConvLSTM cell with the released names: Wx{i,f,c,o} with a bias, Wh{i,f,c,o} without."""

    def __init__(self, inputs: int, hidden: int):
        super().__init__()
        self.hidden = hidden
        for gate in "ifco":
            self.add_module(f"Wx{gate}", nn.Conv2d(inputs, hidden, 3, padding=1))
            self.add_module(f"Wh{gate}", nn.Conv2d(hidden, hidden, 3, padding=1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """(T, C, H, W) to (T, hidden, H, W), from a zero state, one step and one gate at a time as the release."""
        h = c = x.new_zeros(1, self.hidden, *x.shape[2:])
        outputs = []
        for frame in x.split(1):
            i, f, g, o = (self.get_submodule(f"Wx{n}")(frame) + self.get_submodule(f"Wh{n}")(h) for n in "ifco")
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
            outputs.append(h)
        return torch.cat(outputs)


def _flow(inputs: int, outputs: int, size: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, size, stride=2, padding=size // 2), nn.LeakyReLU(0.1))
