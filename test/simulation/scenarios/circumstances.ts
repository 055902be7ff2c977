/** What befalls the cluster of a play: operators, a postmaster that hangs; and what it must bear meanwhile. */
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

/** Others find it dead, by what their side says, and its votes on them are free. It hears nothing, and takes them for slow. */
export function seemsDead(stage: Stage, name: string, others: readonly string[]): void {
  stage.cut(name, others);
  stage.setPaths(others, [name], 'reject');
  resetVotes(stage, name, others);
}

/** These voters lose its session, and with it its vote; as standbys they lose its stream. */
export function resetVotes(stage: Stage, master: string, voters: readonly string[]): void {
  for (const voter of voters) {
    stage.endSessionOn(voter, master);
    stage.resetStream(voter);
  }
}

/** Its postmaster hangs: who comes from elsewhere gets no answer, and those who were there are gone. */
export function takesNobody(stage: Stage, name: string, but: readonly string[] = []): void {
  const server = stage.server(name);
  const isSpared = (other: string) => other === name || but.includes(other);
  const { accept, incarnation } = server;
  server.accept = (...call) => {
    if (isSpared(call[0].ends[0].name) || server.incarnation !== incarnation) accept.apply(server, call);
  };
  for (const { name: other } of stage.cluster.hosts) if (!isSpared(other)) stage.endSessionOn(name, other);
}

/** n1 is lost and n2 promoted; then n2 is cut off when the others have its promotion, but not the row of its epoch. */
export function promotedWithoutItsRow(stage: Stage, others: readonly string[]): void {
  stage.powerOff('n1');
  stage.untilDecision('n2', 'promoting');
  stage.run(1);
  stage.host('n2').stallWorker();
  const has = (name: string) => stage.server(name).branch.tli === 2;
  stage.until('all have the promotion', () => others.every(has));
  stage.cut('n2', others);
  stage.host('n2').resumeWorker();
  stage.untilDecision('n2', 'election-aborted');
}

/** From now on, whenever another one decides so. */
export function expectDead(stage: Stage, name: string, before: 'votes-held' | 'promoting'): void {
  for (const { name: other } of stage.cluster.hosts)
    if (other !== name)
      stage.at(other, before, () => stage.expect(`${name} is dead`, !stage.server(name).writable));
}
