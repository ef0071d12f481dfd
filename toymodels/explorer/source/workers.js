// Compute a plane in workers, a block of gammas at a time. A new plane takes the place of the one that is being computed.

const BLOCK = 1.5e6;      // pixel-steps: about 5 ms

export class Workers {
  constructor(bytes, source, count) {
    const address = URL.createObjectURL(new Blob([source], {type: "text/javascript"}));
    this.idle = Array.from({length: count}, () => {
      const worker = new Worker(address);
      worker.postMessage({bytes});
      worker.onmessage = ({data}) => this.receive(worker, data);
      return worker;
    });
    this.job = {id: 0, blocks: []};
  }

  // Compute {view, orbit, gamma, eta, points}; `onBlock(first, found)` is called for each block. Resolves to whether it was finished.
  compute(task, onBlock) {
    this.job.finish?.(false);
    const {view, orbit, gamma, eta, points} = task, steps = orbit ? orbit.settle + 4 * orbit.length : view.steps;
    const rows = Math.max(1, Math.min(Math.ceil(gamma.length / 16), Math.floor(BLOCK / (steps * points)))), blocks = [];
    for (let first = 0; first < gamma.length; first += rows) {
      const some = gamma.slice(first, first + rows);
      const rates = eta.length > points ? eta.slice(first * points, (first + some.length) * points) : eta;
      blocks.push({job: this.job.id + 1, first, view, orbit, gamma: some, eta: rates, points});
    }
    return new Promise((finish, fail) => {
      this.job = {id: this.job.id + 1, blocks: blocks.reverse(), left: blocks.length, onBlock, finish, fail};
      for (const worker of this.idle.splice(0)) this.give(worker);
    });
  }

  give(worker) {
    const block = this.job.blocks.pop();
    if (block) worker.postMessage(block); else this.idle.push(worker);
  }

  receive(worker, {job, first, found}) {
    const current = job === this.job.id;
    this.give(worker);
    if (!current) return;
    try {
      this.job.onBlock(first, found);
    } catch (error) {
      this.job.fail(error);
    }
    if (--this.job.left === 0) this.job.finish(true);
  }
}
