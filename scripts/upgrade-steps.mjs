// The statements that turn the objects of one version into those of another, in either direction: new tables first, then functions,
// triggers and views made or replaced, then what is no more dropped. A workers' role may use what is new as it may use what is old.
// A table that changes its columns needs statements written by hand; cluster_state is never touched, because a standby reads it while
// it decides, and a lock on it would reach the standbys.
import { objectsOf } from './sql-objects.mjs';

/** Whoever has rights on the second gets the same on a new object of that kind. */
const alike = {
  table: 'pgkeeper.node_state',
  'table of one row': 'pgkeeper.cluster_state',
  view: 'pgkeeper.status',
  sequence: 'pgkeeper.events_id_seq',
  function: 'pgkeeper.next_version(bigint)',
};

const never = 'pgkeeper.cluster_state';

/** `byHand`: statements for tables that change, after the new tables are made; null = there are none. */
export function upgradeSteps(oldScript, newScript, byHand) {
  const [before, after] = [objectsOf(oldScript), objectsOf(newScript)];
  const gone = [...before].filter(([key]) => !after.has(key)).map(([, object]) => object);
  const fresh = [...after].filter(([key]) => !before.has(key)).map(([, object]) => object);
  const changed = [...after]
    .filter(([key, { text }]) => before.has(key) && before.get(key).text !== text)
    .map(([key, object]) => ({ ...object, was: before.get(key) }));
  refuseWhatNeedsHands([...gone, ...fresh, ...changed], changed, byHand);
  const of = (objects, ...kinds) => objects.filter(({ kind }) => kinds.includes(kind));
  const made = new Set([...fresh, ...changed].map(({ kind, name }) => `${kind} ${name}`));
  const inOrder = [...after.values()].filter(({ kind, name }) => made.has(`${kind} ${name}`));
  const replaced = inOrder.filter(({ kind }) => ['function', 'trigger', 'view'].includes(kind));
  const reshaped = changed.filter(({ kind, shape, was }) => kind === 'function' && shape !== was.shape);
  const tables = of(fresh, 'table');
  const newlyMade = [...of(fresh, 'function'), ...reshaped];
  return [
    ...of(fresh, 'table', 'index', 'row').map(({ text }) => text),
    ...(byHand === null ? [] : [byHand.trim()]),
    ...reshaped.map(dropping),
    ...replaced.map(({ text }) => text.replace(/^create (function|trigger|view) /, 'create or replace $1 ')),
    ...of(gone, 'trigger', 'view', 'function', 'index', 'table')
      .toReversed()
      .filter(({ kind, table }) => kind !== 'index' || !gone.some(({ name }) => name === table))
      .sort((a, b) => dropOrder.indexOf(a.kind) - dropOrder.indexOf(b.kind))
      .map(dropping),
    ...inOrder.filter(({ kind }) => kind === 'comment').map(({ text }) => text),
    ...newlyMade.map(({ name }) => `revoke all on function ${name} from public;`),
    sameRights(tables, of(fresh, 'view'), newlyMade),
  ].filter((step) => step !== '');
}

/** What only the extension's script needs. */
export function newlyDumped(oldScript, newScript) {
  const before = objectsOf(oldScript);
  return [...objectsOf(newScript)]
    .filter(([key, { kind }]) => kind === 'dumped' && !before.has(key))
    .map(([, { text }]) => text);
}

const dropOrder = ['view', 'trigger', 'index', 'function', 'table'];

function dropping({ kind, name }) {
  return kind === 'index' ? `drop index pgkeeper.${name.split(' ')[0]};` : `drop ${kind} ${name};`;
}

function refuseWhatNeedsHands(all, changed, byHand) {
  for (const { kind, name, table } of all) {
    const touches = table === never || (name === never && kind !== 'comment');
    if (touches) throw new Error(`${kind} ${name}: an upgrade never touches ${never}`);
    if (['schema', 'right'].includes(kind)) throw new Error(`${kind} ${name} cannot be upgraded`);
  }
  if (byHand !== null) return;
  const needy = changed.filter(({ kind }) => ['table', 'index', 'row'].includes(kind));
  if (needy.length > 0)
    throw new Error(`write by hand what becomes of: ${needy.map(({ kind, name }) => `${kind} ${name}`)}`);
}

function sequencesOf({ name, text }) {
  const columns = [...text.matchAll(/^ +(\w+) +(?:\w+ .*generated .* as identity|serial|bigserial)/gm)];
  return columns.map(([, column]) => `${name}_${column}_seq`);
}

function sameRights(tables, views, functions) {
  const rows = [
    ...tables.map(({ name, text }) => [
      'table',
      name,
      /^ +only_row /m.test(text) ? alike['table of one row'] : alike.table,
    ]),
    ...tables.flatMap(sequencesOf).map((name) => ['sequence', name, alike.sequence]),
    ...views.map(({ name }) => ['table', name, alike.view]),
    ...functions.map(({ name }) => ['function', name, alike.function]),
  ];
  if (rows.length === 0) return '';
  return `-- Roles that may use an old object of the kind may use the new one.
do $do$
declare
  given record;
begin
  for given in
    select pg_catalog.format('grant %s on %s %s to %I', x.privilege_type, n.kind, n.made, r.rolname) as statement
    from (values ${rows.map((row) => `('${row.join("', '")}')`).join(',\n                 ')}) as n(kind, made, alike)
    cross join lateral (
      select c.relacl as acl, c.relowner as owner from pg_catalog.pg_class c
        where c.oid = case when n.kind <> 'function' then pg_catalog.to_regclass(n.alike) end
      union all
      select p.proacl, p.proowner from pg_catalog.pg_proc p
        where p.oid = case when n.kind = 'function' then pg_catalog.to_regprocedure(n.alike) end) old
    cross join lateral pg_catalog.aclexplode(old.acl) x
    join pg_catalog.pg_roles r on r.oid = x.grantee
    where x.grantee <> old.owner
  loop
    execute given.statement;
  end loop;
end
$do$;`;
}
