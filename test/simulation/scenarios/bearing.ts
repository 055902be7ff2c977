/** Operators in plays, and what a cluster must bear while the fault is still there. */
import type { Stage } from './stage.js';

/** del_node on the master: the wish, for all of them at once. */
export function removeNodes(stage: Stage, ...names: readonly string[]): void {
  const row = stage.row('n1');
  const nodes = row.nodes.filter(({ name }) => !names.includes(name));
  stage.server('n1').writeRow({ ...row, nodes, version: row.version + 1 });
}

/** Less is lost than a cluster can bear: writes are taken again, whoever is still away (L1). */
export function mustServe(stage: Stage, withinMs: number): void {
  const { watcher } = stage.cluster;
  const since = stage.now;
  stage.writeAll();
  while (watcher.lastAcknowledged <= since && stage.now < since + withinMs) stage.run(100);
  if (watcher.lastAcknowledged <= since)
    watcher.violate('L1', `no writes for ${withinMs} ms while a majority is there`);
}
