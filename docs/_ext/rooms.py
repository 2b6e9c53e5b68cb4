"""The picture of the architecture: the rooms of the package, the highest first; imports point downward."""

from html import escape

ROOMS = (
    (("cli", "commands, output, progress, doctor"),),
    (("studies", "arms, compare, tune, workers: many runs under one protocol"),),
    (("reports", "study, validity, statistics, measures, pages, charts, tables"),),
    (("runs", "plan, train (one configuration, one run), record, recipes, model"),),
    (("rules", "one learning rule a file: local_losses and predict"),),
    (("nets", "lists of blocks, physical systems; no training logic"),),
    (("data", "images, graphs, spikes, tables; splits, fetching, checks"),),
    (("training", "the loop and the contract: trainer, batch, owners, checkpoint"),),
    (("config", "settings, flags, names to classes"), ("graphs", "sparse products, the graph of a batch")),
    (("functional", "pure functions with their equations"),),
    (("errors", "every error a user can meet"),),
)
METER = ("energy", "the meter, a package of its own: NVML, RAPL, CodeCarbon; imports neither torch nor bpfree")
WIDTH, HEIGHT, GAP = 660, 40, 14


def drawing() -> str:
    """Draw the rooms as an SVG: a box a room, an arrow from each floor to the one below."""
    floors = (*ROOMS, (METER,))
    total = len(floors) * (HEIGHT + GAP) + GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH + 20} {total}" font-family="sans-serif">',
        '<defs><marker id="a" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" markerHeight="6" orient="auto">'
        '<path d="M0 0 8 4 0 8z" fill="#64748b"/></marker></defs>',
    ]
    for floor, rooms in enumerate(floors):
        y = GAP + floor * (HEIGHT + GAP)
        width = (WIDTH - GAP * (len(rooms) - 1)) / len(rooms)
        for number, (name, holds) in enumerate(rooms):
            x = 10 + number * (width + GAP)
            fill = "#fef3c7" if name == METER[0] else "#e0f2fe"
            parts.append(
                f'<rect x="{x:g}" y="{y}" width="{width:g}" height="{HEIGHT}" rx="6" fill="{fill}" stroke="#64748b"/>'
                f'<text x="{x + 12:g}" y="{y + 25}" fill="#0f172a"><tspan font-size="14" font-weight="bold">'
                f'{escape(name)}</tspan><tspan font-size="11.5" dx="10">{escape(holds)}</tspan></text>'
            )
        if floor < len(floors) - 1:
            middle, below = 10 + WIDTH / 2, y + HEIGHT
            parts.append(
                f'<path d="M{middle:g} {below}V{below + GAP - 1}" stroke="#64748b" stroke-width="1.5" '
                'marker-end="url(#a)"/>'
            )
    return "\n".join([*parts, "</svg>", ""])
