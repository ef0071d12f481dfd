// A worker: trains the blocks of the plane that it receives.

import {Kernel} from "./kernel.js";

let kernel;
self.onmessage = ({data}) => {
  if (data.bytes) {
    kernel = new Kernel(data.bytes);
    return;
  }
  const {job, first, view, orbit, gamma, eta, points} = data;
  const found = orbit ? kernel.follow(view, orbit, gamma, eta, points) : kernel.train(view, gamma, eta, points);
  self.postMessage({job, first, found}, Object.values(found).map(array => array.buffer));
};
