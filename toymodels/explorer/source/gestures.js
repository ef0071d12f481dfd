// Wheel, drag, pinch and keys on the plane, as calls of `zoom(factor, [s, t])`, `pan(ds, dt)`, `press([s, t])` and `hover([s, t] or null)`.

const FAR = 5;      // pixels that make a drag of a click

// `guarded`: the wheel zooms only with Ctrl or while the plane has the focus.
export function listen(canvas, toShares, act, guarded = false) {
  const pointers = new Map();
  let moved = 0, apart = 0;

  canvas.addEventListener("wheel", event => {
    if (guarded && !event.ctrlKey && document.activeElement !== canvas) return;
    event.preventDefault();
    const lines = event.deltaY * (event.deltaMode === 1 ? 16 : event.deltaMode === 2 ? 400 : 1);
    act.zoom(Math.exp(Math.max(-60, Math.min(60, lines)) * 0.004), toShares(event.clientX, event.clientY));
  }, {passive: false});

  canvas.addEventListener("pointerdown", event => {
    if (event.button) return;
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, [event.clientX, event.clientY]);
    moved = pointers.size > 1 ? Infinity : 0;
    apart = spread();
  });

  canvas.addEventListener("pointermove", event => {
    const before = pointers.get(event.pointerId);
    if (!before) {
      act.hover(toShares(event.clientX, event.clientY));
      return;
    }
    const now = [event.clientX, event.clientY];
    moved += Math.hypot(now[0] - before[0], now[1] - before[1]);
    if (moved < FAR) return;
    pointers.set(event.pointerId, now);
    const [a, b] = [toShares(...before), toShares(...now)];
    act.pan((a[0] - b[0]) / pointers.size, (a[1] - b[1]) / pointers.size);
    const wide = spread();
    if (pointers.size === 2 && apart > 0 && wide > 0) act.zoom(apart / wide, toShares(...centre()));
    apart = wide;
  });

  const release = event => {
    if (!pointers.delete(event.pointerId)) return;
    if (event.type === "pointerup" && moved < FAR) act.press(toShares(event.clientX, event.clientY));
    apart = spread();
  };
  canvas.addEventListener("pointerup", release);
  canvas.addEventListener("pointercancel", release);
  canvas.addEventListener("pointerleave", () => act.hover(null));

  function spread() {
    const [a, b] = [...pointers.values()];
    return b ? Math.hypot(a[0] - b[0], a[1] - b[1]) : 0;
  }

  function centre() {
    const all = [...pointers.values()];
    return [0, 1].map(k => all.reduce((sum, p) => sum + p[k], 0) / all.length);
  }

  const arrows = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1]};
  canvas.addEventListener("keydown", event => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const arrow = arrows[event.key], zooms = {"+": 1 / 1.5, "=": 1 / 1.5, "-": 1.5, "_": 1.5};
    if (arrow && event.shiftKey) act.moveCursor(arrow[0] * 0.02, arrow[1] * 0.02);
    else if (arrow) act.pan(arrow[0] * 0.1, arrow[1] * 0.1);
    else if (event.key in zooms) act.zoom(zooms[event.key], null);
    else if (event.key === "0") act.reset();
    else if (event.key === "Enter" || event.key === " ") act.press(null);
    else return;
    event.preventDefault();
  });
}
