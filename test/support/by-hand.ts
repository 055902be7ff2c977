/** Lets the statements behind it, in the same query, change node_info by hand: rows as no function would make them. */
export const byHand = 'set local pg_keeper.edit_node_info = on;';
