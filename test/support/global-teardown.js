module.exports = () => {
  for (const undo of globalThis.undoGlobalSetup ?? []) undo()
}
