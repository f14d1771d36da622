/** The meaning of pointers, wheels and fingers on the map; fractions are of its width. */
interface Gestures {
  zoom(factor: number, fraction: number): void
  pan(fraction: number): void
  point(fraction: number | undefined): void
  click(fraction: number): void
}

/** Wheel steps of one notch, in pixels, that double the size. */
const wheelDouble = 240
/** Pixels a finger or a hand shakes while it clicks. */
const clickSlack = 4

/** Returns how to stop listening. */
export function listen(element: HTMLElement, gestures: Gestures): () => void {
  const pointers = new Map<number, { x: number; startX: number }>()
  let dragged = false
  const fraction = (x: number) => {
    const { left, width } = element.getBoundingClientRect()
    return Math.min(1, Math.max(0, (x - left) / width))
  }
  const width = () => element.getBoundingClientRect().width

  const onWheel = (event: WheelEvent) => {
    event.preventDefault()
    const pixels = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1
    const sideways = event.shiftKey ? event.deltaY : event.deltaX
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY))
      gestures.pan((sideways * pixels) / width())
    // A pinch on a touchpad comes as a wheel with the control key, in smaller steps.
    else {
      const steps = event.deltaY * pixels * (event.ctrlKey ? 6 : 1)
      gestures.zoom(2 ** (-steps / wheelDouble), fraction(event.clientX))
    }
  }
  const onDown = (event: PointerEvent) => {
    if (event.button !== 0) return
    if (pointers.size === 0) dragged = false
    pointers.set(event.pointerId, { x: event.clientX, startX: event.clientX })
    element.setPointerCapture(event.pointerId)
  }
  const onMove = (event: PointerEvent) => {
    const pointer = pointers.get(event.pointerId)
    if (!pointer) return gestures.point(fraction(event.clientX))
    const before = pointer.x
    const [first, second] = [...pointers.values()]
    const gapBefore = second ? Math.abs(first!.x - second.x) : 0
    pointer.x = event.clientX
    if (second) {
      dragged = true
      const gap = Math.abs(first!.x - second.x)
      if (gapBefore > 0 && gap > 0) gestures.zoom(gap / gapBefore, fraction((first!.x + second.x) / 2))
      gestures.pan((before - event.clientX) / 2 / width())
    } else if (dragged || Math.abs(event.clientX - pointer.startX) > clickSlack) {
      dragged = true
      gestures.pan((before - event.clientX) / width())
    }
  }
  const onUp = (event: PointerEvent) => {
    if (!pointers.delete(event.pointerId) || dragged || event.type === 'pointercancel') return
    gestures.click(fraction(event.clientX))
  }
  const onLeave = () => gestures.point(undefined)
  const ending = new AbortController()
  const { signal } = ending
  element.addEventListener('wheel', onWheel, { passive: false, signal })
  element.addEventListener('pointerdown', onDown, { signal })
  element.addEventListener('pointermove', onMove, { signal })
  element.addEventListener('pointerup', onUp, { signal })
  element.addEventListener('pointercancel', onUp, { signal })
  element.addEventListener('pointerleave', onLeave, { signal })
  return () => ending.abort()
}
