/** The databases that the bench compares the table with. `npm install --no-save better-sqlite3 lmdb` brings them. */
interface Statement {
  run(...values: unknown[]): void
  all(): unknown[]
}

interface Sqlite {
  pragma(text: string): void
  exec(text: string): void
  prepare(text: string): Statement
  transaction(work: () => void): () => void
  close(): void
}

interface Lmdb {
  putSync(key: number, value: Uint8Array): boolean
  close(): Promise<void>
}

/** undefined where it is not installed. */
function optional<Module>(name: string): Module | undefined {
  try {
    return require(name) as Module
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'MODULE_NOT_FOUND') return undefined
    throw error
  }
}

export function openSqlite(file: string): Sqlite | undefined {
  const Database = optional<new (file: string) => Sqlite>('better-sqlite3')
  if (!Database) return undefined
  const database = new Database(file)
  database.pragma('journal_mode = WAL')
  database.pragma('synchronous = FULL')
  return database
}

export function openLmdb(folder: string): Lmdb | undefined {
  const lmdb = optional<{ open(options: object): Lmdb }>('lmdb')
  return lmdb?.open({
    path: folder,
    encoding: 'binary',
    keyEncoding: 'uint32',
    mapSize: 2 ** 26,
    noSubdir: false,
  })
}
