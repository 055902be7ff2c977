/**
 * Which version of the registry is installed, by which way, and whether this program can work with it.
 * Reads only; installing and upgrading is migrations.ts or CREATE/ALTER EXTENSION.
 */

/** All that is needed of a connection: one statement without parameters, rows back. */
export type RunQuery = (sql: string) => Promise<readonly Readonly<Record<string, unknown>>[]>;

export type InstalledSchema =
  | { readonly kind: 'missing' }
  | { readonly kind: 'extension'; readonly version: string }
  | { readonly kind: 'migration'; readonly version: string }
  /** A schema of that name which is not ours, or ours half removed. */
  | { readonly kind: 'foreign'; readonly detail: string };

export type SchemaVerdict =
  | { readonly kind: 'usable'; readonly version: string }
  /**
   * Another release. What every release has, a worker finds in it: the registry row, the nodes, the votes. So it keeps its cluster, and
   * what the objects lack is refused where it is asked for.
   */
  | { readonly kind: 'differs'; readonly version: string; readonly reason: string; readonly mend: string }
  /** `mend` is what the operator should do. */
  | { readonly kind: 'unusable'; readonly reason: string; readonly mend: string };

const catalogSql = `
  select (select e.extversion from pg_catalog.pg_extension e where e.extname = 'pg_keeper') as extension_version,
    exists (select from pg_catalog.pg_namespace n where n.nspname = 'pgkeeper') as has_schema,
    exists (select from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
            where n.nspname = 'pgkeeper' and p.proname = 'version' and p.pronargs = 0) as has_version`;

export async function installedSchema(query: RunQuery): Promise<InstalledSchema> {
  const [row] = await query(catalogSql);
  const extension = row?.['extension_version'];
  if (typeof extension === 'string') return { kind: 'extension', version: extension };
  if (row?.['has_schema'] !== true) return { kind: 'missing' };
  if (row['has_version'] !== true) {
    return {
      kind: 'foreign',
      detail: 'there is a schema "pgkeeper", but it does not hold the objects of pgkeeper',
    };
  }
  const [installed] = await query('select pgkeeper.version() as version');
  return { kind: 'migration', version: String(installed?.['version']) };
}

/** Objects and program fit when major and minor are equal: a patch release never changes an object's shape. */
export function judgeSchema(installed: InstalledSchema, programVersion: string): SchemaVerdict {
  switch (installed.kind) {
    case 'missing':
      return {
        kind: 'unusable',
        reason: 'the pgkeeper objects are not installed in this database',
        mend: 'on the master: CREATE EXTENSION pg_keeper CASCADE; or, without access to its files: pgkeeper migrate',
      };
    case 'foreign':
      return {
        kind: 'unusable',
        reason: installed.detail,
        mend: 'rename or drop that schema, or use another database',
      };
    case 'extension':
    case 'migration': {
      const order = compareMinor(installed.version, programVersion);
      if (order === 0) return { kind: 'usable', version: installed.version };
      const { version } = installed;
      const reason = `the installed objects have version ${version}, this program is ${programVersion}`;
      if (order > 0)
        return { kind: 'differs', version, reason, mend: 'install the newer pgkeeper on this host' };
      return {
        kind: 'differs',
        version,
        reason,
        mend:
          installed.kind === 'extension'
            ? 'install the new extension files on every server, then on the master: ALTER EXTENSION pg_keeper UPDATE;'
            : 'on the master: pgkeeper migrate',
      };
    }
  }
}

/** Sign of a - b by major, then minor; a part that is no number counts as 0. */
function compareMinor(a: string, b: string): number {
  const [majorA = 0, minorA = 0] = a.split('.').map((part) => Number.parseInt(part, 10) || 0);
  const [majorB = 0, minorB = 0] = b.split('.').map((part) => Number.parseInt(part, 10) || 0);
  return majorA - majorB || minorA - minorB;
}
