// Filters and sorts examples. Typed arrays make this take only milliseconds for all of BAPPS.
"use strict";

const lpipsFilter = (() => {
  /** Float32 or Int32 numbers from base64, in the little-endian order of typed arrays in all browsers. */
  function numbers(text, Kind = Float32Array) {
    const binary = atob(text);
    const bytes = new Uint8Array(binary.length);
    for (let k = 0; k < binary.length; k += 1) bytes[k] = binary.charCodeAt(k);
    return new Kind(bytes.buffer);
  }

  /** The margin of a method on each example: the share of the split whose distances do not differ more; 0 for a tie. */
  function decisions({ d0, d1 }, splits) {
    const found = new Float64Array(d0.length);
    for (const { start, count } of splits) {
      const apart = new Float64Array(count);
      for (let k = 0; k < count; k += 1) {
        const [one, two] = [d0[start + k], d1[start + k]];
        apart[k] = one === two ? 0 : Math.abs(one - two);
      }
      const sorted = apart.slice().sort();
      for (let k = 0; k < count; k += 1) {
        if (apart[k] === 0) continue;
        // Equal differences have the mean of their ranks.
        found[start + k] = (below(sorted, apart[k]) + 1 + notAbove(sorted, apart[k])) / 2 / count;
      }
    }
    return found;
  }

  function below(sorted, value) {
    let [low, high] = [0, sorted.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sorted[middle] < value) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  function notAbove(sorted, value) {
    let [low, high] = [0, sorted.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sorted[middle] <= value) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The share of judges who agree with a method on an example; 0.5 for a tie. */
  function credit(method, votes, k) {
    const [one, two] = [method.d0[k], method.d1[k]];
    if (one === two) return 0.5;
    return two < one ? votes[k] : 1 - votes[k];
  }

  /** The image that is nearer to the reference by a method: "p0", "p1" or "tie". */
  function verdict(method, k) {
    const [one, two] = [method.d0[k], method.d1[k]];
    return one === two ? "tie" : one < two ? "p0" : "p1";
  }

  const TESTS = {
    all: () => true,
    "a-against": (a) => a < 0.5,
    "b-against": (a, b) => b < 0.5,
    "both-against": (a, b) => a < 0.5 && b < 0.5,
    "only-a-against": (a, b) => a < 0.5 && b > 0.5,
    "only-b-against": (a, b) => a > 0.5 && b < 0.5,
  };

  /**
   * The examples that match a filter, sorted.
   *
   * data: votes, splits, and hasImage (1 for each example with images); a, b: methods with d0, d1 and decisions.
   * show: a key of TESTS, or "differ"; split: index of a split, or null for all; unanimous: only examples on which all
   * judges agree; pictured: only examples with images;
   * order: "index", "margin" (mean margin of both methods) or "strength" (margin times the clarity of the votes).
   */
  function search({ votes, splits, hasImage }, a, b, { show, split, unanimous, pictured, order }) {
    const from = split === null ? 0 : splits[split].start;
    const to = split === null ? votes.length : from + splits[split].count;
    const test = TESTS[show];
    const found = new Uint32Array(to - from);
    let size = 0;
    for (let k = from; k < to; k += 1) {
      if (unanimous && votes[k] !== 0 && votes[k] !== 1) continue;
      if (pictured && !hasImage[k]) continue;
      const isShown = test ? test(credit(a, votes, k), credit(b, votes, k)) : verdict(a, k) !== verdict(b, k);
      if (isShown) {
        found[size] = k;
        size += 1;
      }
    }
    const matches = found.subarray(0, size);
    if (order === "index") return matches;
    const key = new Float64Array(votes.length);
    for (const k of matches) {
      const margin = (a.decisions[k] + b.decisions[k]) / 2;
      key[k] = order === "margin" ? margin : margin * Math.abs(2 * votes[k] - 1);
    }
    return matches.sort((one, two) => key[two] - key[one] || one - two);
  }

  return { numbers, decisions, credit, verdict, search };
})();
