import { render } from 'preact'
import { takeToken } from './link/token'
import { Model } from './state/model'
import { Ui } from './state/ui'
import { App } from './view/app'
import { AppContext } from './view/hooks'

const model = new Model(takeToken())
const ui = new Ui()

render(
  <AppContext.Provider value={{ model, ui }}>
    <App />
  </AppContext.Provider>,
  document.getElementById('app')!,
)
model.link.start()
