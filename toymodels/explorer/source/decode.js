// Read the stored portrait from the page.

const KINDS = {i1: Int8Array, i4: Int32Array, f4: Float32Array, f8: Float64Array};

// The portrait that `lazyrich explore PORTRAIT` has put into the page, with its arrays decoded; null if there is none.
export function readPortrait(page) {
  const element = page.getElementById("portrait");
  if (!element) return null;
  const stored = JSON.parse(element.textContent);
  const gamma = decodeArray(stored.gamma).values, {shape, values} = decodeArray(stored.eta), columns = shape.at(-1);
  const eta = shape.length > 1 ? values : Float64Array.from({length: gamma.length * columns}, (_, n) => values[n % columns]);
  return {...stored, gamma, eta,
          variables: Object.fromEntries(Object.entries(stored.variables).map(([name, x]) => [name, {...x, ...decodeArray(x)}])),
          edges: stored.edges.map(x => ({...x, ...decodeArray(x)})),
          predicted: stored.predicted.map(x => ({...x, ...decodeArray(x), at: decodeArray(x.at).values}))};
}

function decodeArray({type, shape, data}) {
  const bytes = Uint8Array.from(atob(data), c => c.charCodeAt(0));
  return {shape, values: new KINDS[type](bytes.buffer)};      // as everywhere, the least significant byte first
}
