module.exports = () => globalThis.giveBackHugePages?.()
