/* What the reader has chosen. Drawings read it and listen to it; none of them knows another. */

const store = (() => {
  let state = Object.freeze({
    selected: undefined, // id of the candidate whose details are shown; null of none
    compared: null, // id of the one that it is compared with
    x: null, // key of the quantity across
    y: null, // key of the quantity up
    logX: false,
    infeasible: true, // whether candidates over a budget are drawn
    budgets: [], // {key, name, bound, upper}, as the reader has them
    brushes: {}, // key of a quantity -> [lowest, highest] of what is left
    coords: null, // keys of the parallel axes; null for those that a page begins with
    picked: [], // ids that the reader collects for export
    version: 0, // goes up when the run itself is replaced
  });
  const listeners = [];
  return {
    /** The state; it is never changed in place. */
    get: () => state,
    /** Change some of it; listeners are called once, and only where something is different. */
    set(changes) {
      const names = Object.keys(changes).filter((name) => !Object.is(state[name], changes[name]));
      if (!names.length) return;
      state = Object.freeze({ ...state, ...changes });
      for (const [listener, wanted] of listeners) {
        if (!wanted.length || names.some((name) => wanted.includes(name))) listener(state, names);
      }
    },
    /** Call the listeners of some names although these are as they were: what they stand for is new. */
    renew(...names) {
      for (const [listener, wanted] of listeners) {
        if (names.some((name) => wanted.includes(name))) listener(state, names);
      }
    },
    /** Call a function with the state and the names of what changed; with `wanted`, of these only. */
    on(listener, ...wanted) {
      listeners.push([listener, wanted]);
    },
  };
})();
