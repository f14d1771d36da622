/** Changes allocations of a crowded broker at a steady rate until its input ends: churner SOCKET ALLOCATIONS EVENTS */
import { TestClient } from '../support/test-broker'
import { churn } from './crowded-broker'

const [socket, allocations, events] = process.argv.slice(2)
const stop = new AbortController()
process.stdin.resume().once('end', () => stop.abort())
churn(new TestClient(socket!), Number(allocations), Number(events), stop.signal).then(
  () => process.exit(0),
  error => {
    console.error(error)
    process.exit(1)
  },
)
