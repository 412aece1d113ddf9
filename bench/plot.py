# SPDX-License-Identifier: GPL-2.0-or-later
"""The plot: panels of bars in groups, one colour for each tracer, as SVG."""

from html import escape

COLOURS = {
    "plain": "#9aa0a6", "nsntrace": "#14508c", "packet": "#4f9bd9",
    "lossless": "#1b998b", "other": "#7b4fa3", "tcpdump": "#e9a23b",
    "dumpcap": "#d9663b", "dumpcap64": "#a8322a", "deb": "#5d4037",
}
WIDTH, LEFT, TOP = 960, 48, 40
PANEL, BARS, LEGEND = 230, 140, 40
BAR, BAR_GAP, GROUP_GAP = 27, 3, 24


class Panel:
    """Groups of bars: [(label, [(tracer, value), ...]), ...], up to a top.

    A bar that is taller is cut, and its number says so.
    """

    def __init__(self, title, groups, top, form="{:.0f}".format):
        self.title = title
        self.groups = [(label, bars) for label, bars in groups if bars]
        self.top = top
        self.form = form

    def _bar(self, x, base, tracer, value):
        height = max(BARS * min(value / self.top, 1), 1)
        middle = x + BAR / 2
        return (f'<rect x="{x:.1f}" y="{base - height:.1f}" width="{BAR}" '
                f'height="{height:.1f}" fill="{COLOURS[tracer]}"/>\n'
                f'<text x="{middle:.1f}" y="{base - height - 4:.1f}" '
                f'class="number">{self.form(value)}</text>\n')

    def svg(self, top):
        base = top + 50 + BARS
        parts = [f'<text x="{LEFT}" y="{top + 20}" class="title">'
                 f'{escape(self.title)}</text>\n']
        x = LEFT
        for label, bars in self.groups:
            width = len(bars) * (BAR + BAR_GAP) - BAR_GAP
            parts += [self._bar(x + i * (BAR + BAR_GAP), base, tracer, value)
                      for i, (tracer, value) in enumerate(bars)]
            parts.append(f'<text x="{x + width / 2:.1f}" y="{base + 17}" '
                         f'class="label">{escape(label)}</text>\n')
            x += width + GROUP_GAP
        parts.append(f'<line x1="{LEFT}" y1="{base}" x2="{x - GROUP_GAP}" '
                     f'y2="{base}" class="axis"/>\n')
        return "".join(parts)

    def width(self):
        return LEFT + sum(len(bars) * (BAR + BAR_GAP) + GROUP_GAP
                          for _, bars in self.groups)


def _legend(labels, y):
    parts, x = [], LEFT
    for tracer, label in labels.items():
        parts.append(f'<rect x="{x}" y="{y}" width="12" height="12" '
                     f'fill="{COLOURS[tracer]}"/>\n'
                     f'<text x="{x + 18}" y="{y + 11}">{escape(label)}</text>\n')
        x += 34 + 7 * len(label)
    return "".join(parts)


def draw(heading, labels, panels):
    """The whole picture; labels are of the tracers that have bars."""
    panels = [panel for panel in panels if panel.groups]
    width = max([WIDTH, *(panel.width() for panel in panels)])
    height = TOP + LEGEND + PANEL * len(panels)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" '
        f'height="{height}" viewBox="0 0 {width} {height}">\n'
        '<style>text { font: 13px sans-serif; fill: #1a1a1a }'
        ' .title { font-weight: bold }'
        ' .number { font-size: 11px; text-anchor: middle }'
        ' .label { text-anchor: middle }'
        ' .axis { stroke: #1a1a1a }</style>\n'
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>\n'
        f'<text x="{LEFT}" y="24">{escape(heading)}</text>\n'
        + _legend(labels, TOP)
        + "".join(panel.svg(TOP + LEGEND + PANEL * i)
                  for i, panel in enumerate(panels))
        + "</svg>\n")
