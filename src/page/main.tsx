import { render } from 'preact'
import { takeToken } from './link/token'
import { Model } from './state/model'
import { Ui } from './state/ui'
import { App } from './view/app'
import { AppContext } from './view/hooks'

const model = new Model(takeToken())
const ui = new Ui()

// Before there is anything to show it in, as the broker's answers take their time.
model.link.start()
render(
  <AppContext.Provider value={{ model, ui }}>
    <App />
  </AppContext.Provider>,
  document.getElementById('app')!,
)
