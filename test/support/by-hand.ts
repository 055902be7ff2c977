/** Lets the statements behind it, in the same query, change node_info by hand: rows as no function would make them. */
export const byHand = 'set local pg_keeper.edit_node_info = on;';

/** A row of witness_info without the checks of add_witness. */
export function witnessByHand(name: string): string {
  return `insert into pgkeeper.witness_info (name, conninfo, database, system_identifier, timeline, address)
    values ('${name}', 'host=w', 'postgres', '1', 1, '')`;
}

/** What is refused beside the nodes n1, the master, and n2, and the witness w: statement, message, hint. */
export const editsByHand = [
  [
    `insert into pgkeeper.node_info (name, conninfo) values ('n9', 'host=i')`,
    /^node "n9" cannot be registered by INSERT$/,
    /^SELECT pgkeeper\.add_node\('n9', /,
  ],
  [
    `delete from pgkeeper.node_info where name = 'n2'`,
    /^node "n2" cannot be removed by DELETE$/,
    /^SELECT pgkeeper\.del_node\('n2'\);$/,
  ],
  [`delete from pgkeeper.node_info where name = 'n1'`, /^node "n1" .* by DELETE$/, /DROP EXTENSION/],
  ['truncate pgkeeper.node_info', /^the nodes cannot be removed by TRUNCATE$/, /DROP EXTENSION/],
  [
    `update pgkeeper.node_info set name = 'n8' where name = 'n2'`,
    /^name of node "n2" cannot be changed by UPDATE$/,
    /del_node\('n2'\); SELECT pgkeeper\.add_node/,
  ],
  ['update pgkeeper.node_info set seqno = seqno + 100', /^seqno of node/, /pgkeeper\.add_node/],
  [
    'update pgkeeper.node_info set is_master = false where is_master',
    /^is_master of node "n1"/,
    /switchover/,
  ],
  [
    `update pgkeeper.node_info set is_sync = true, conninfo = 'host=z' where name = 'n2'`,
    /^is_sync of node "n2"/,
    /set_priority\('n2', \.\.\.\)/,
  ],
  [witnessByHand('v'), /^witness "v" cannot be registered by INSERT$/, /pgkeeper\.add_witness\('v', /],
  ['delete from pgkeeper.witness_info', /^witness "w" .* by DELETE$/, /pgkeeper\.del_witness\('w'\)/],
  ['truncate pgkeeper.witness_info', /^the witnesses cannot .* TRUNCATE$/, /pgkeeper\.del_witness/],
  [
    `update pgkeeper.witness_info set timeline = 2`,
    /^timeline of witness "w" cannot be changed by UPDATE$/,
    /pgkeeper\.add_witness\(\.\.\.\), then remove this: SELECT pgkeeper\.del_witness\('w'\)/,
  ],
] as const;
