import { clock, duration } from '../format'
import { useApp, useClock, useSignals } from './hooks'

const reasons = {
  gone: 'Guests and their memory do not need it meanwhile; what is shown here is from before. Do not reload: only this page knows the token.',
  full: 'It answers, but lets no more viewers in: close another page, or raise viewers_max.',
  stranger:
    'What answers there does not have the token of this page. It is another program, or the broker has a new token: then open what broker-ctl console prints.',
}

/** Warnings that the viewer needs to judge the page. */
export function Notices() {
  const { model } = useApp()
  useSignals([model.statusChanged, model.link.signal], 0)
  const now = useClock(500)
  const { state } = model.link
  return (
    <div class="notices" aria-live="polite">
      {state.kind === 'away' && (
        <p class="notice away">
          <span>
            <strong>The broker is away</strong>, since {clock(state.since)} ({duration(now - state.since)}),
            trying again. {reasons[state.but ?? 'gone']}
          </span>
          <button type="button" onClick={() => model.link.tryNow()}>
            Try now
          </button>
        </p>
      )}
      {model.ranges
        .filter(range => range.state === 'readOnly')
        .map(range => (
          <p class="notice away" key={range.name}>
            <span>
              <strong>{range.name} is read-only</strong>: {range.reason}
            </span>
          </p>
        ))}
      {model.notice && (
        <p class="notice" data-notice="restart">
          <span>
            <strong>{clock(model.notice.time)}</strong> {model.notice.text}
          </span>
          <button type="button" onClick={() => model.dismiss()}>
            Dismiss
          </button>
        </p>
      )}
    </div>
  )
}
