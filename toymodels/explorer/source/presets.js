// Views worth seeing, each with a sentence. Figures are those of the paper that the page names.

const TWO_CE = {model: "two", loss: "cross_entropy", steps: 30000, points: 256};

export const PRESETS = [
  {name: "figure-6", title: "Figure 6: depth 5", view: {},
   sentence: "One parameter, depth 5: a triangle of rates that train, closed on the rich side, with exponents 2 (lazy) and 2/5 (rich)."},
  {name: "figure-8", title: "Figure 8: two parameters", view: {model: "two", gamma: [1e-3, 1e3], eta: [1e-7, 1e5]},
   sentence: "Two parameters, squared error: lazy runs catapult in a narrow band above the largest rate that converges quietly."},
  {name: "figure-9", title: "Figure 9: cross-entropy", view: {...TWO_CE, gamma: [1e-3, 1e3], eta: [1e-8, 1e5]},
   sentence: "Two parameters, cross-entropy, 30 000 steps: lazy catapults fill a triangle, up to rates proportional to γ."},
  {name: "figure-11", title: "Figure 11: SignSGD", view: {optimizer: "signsgd", eta: [1e-10, 1e2]},
   sentence: "SignSGD never diverges: above its largest rate every run oscillates about the minimum."},
  {name: "catapults", title: "The catapult band", view: {model: "two", gamma: [1e-4, 1], eta: [0.5, 4], rescale: "gamma2"},
   sentence: "In units of γ² the lazy band is level: quiet below 1, catapults to 2, divergence above; it closes where γ reaches 1. Catapults begin at 1, where the start becomes unstable; the dotted eta_crit is where gradient flow's minimum does."},
  {name: "fractal-edge", title: "The fractal edge", view: {depth: 3, gamma: [1e-2, 1e2], eta: [1.9, 2.9], rescale: "eta_max"},
   sentence: "Depth 3: the edge of divergence is a fractal, with islands at every scale. Zoom in anywhere on it."},
  {name: "periods", title: "The period-doubling ladder", view: {depth: 2, gamma: [0.1, 10], eta: [0.9, 2.1], rescale: "eta_max", colour: "period"},
   sentence: "Depth 2 above ηₘₐₓ: cycles of 2, 4, 8, … steps, then chaos with windows of order, and escape at twice ηₘₐₓ."},
  {name: "settling-corner", title: "The settling corner", view: {...TWO_CE, gamma: [1e-5, 1e-1], eta: [1e-9, 1]},
   sentence: "Cross-entropy, very lazy: catapulted runs would converge, but in this corner they have not yet settled after 30 000 steps."},
];
