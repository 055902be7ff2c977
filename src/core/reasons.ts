/**
 * The closed list of reason codes, each with the sentence an operator reads. The same code is the log field, the
 * `events.code` column and the mark that tests look for. `{x}` stands for the number or name called x.
 */
export const reasons = {
  'worker-started': 'worker started beside {role}',
  'not-registered': 'this server is not in the registry; run pgkeeper.add_node on the master',
  'standby-connected': 'standby of {master}, epoch {epoch}, {voters} voters',
  'server-lost': 'the own server ended its sessions ({failure}: {detail})',
  'server-stopped':
    'the own server was shut down cleanly; keeping the lease for up to {waitMs} ms in case it is a restart',
  'server-crashed': 'the own server crashed',
  'server-frozen': 'the own server answered no new connection for {silentMs} ms; ending it',
  'server-retired':
    'every process of the own server is gone and it can only come back as a standby; votes given back',
  'server-retire-failed': 'could not prove the own server dead: {detail}; trying again',
  'server-started': 'the own server was started again as a standby',
  'server-start-failed': 'the own server does not start: {detail}; next try in {retryMs} ms',
  'server-back': 'the own server answers again',
  'master-suspected':
    'no sign of life from {master} for {silentMs} ms ({misses} failed polls, {failure}); asking {asked} others',
  'master-crashed': '{master} cut its sessions and refuses connections; asking {asked} others',
  'master-seen-by-peer': '{peer} still sees {master}; no failover',
  'master-back': '{master} answers again',
  'election-started': 'election: {master} is gone by all accounts after {askedMs} ms',
  'election-first': 'this node goes first: {ranking}',
  'election-waits': 'waiting behind {first} for {waitMs} ms: {ranking}',
  'election-aborted': 'election ended: {why}',
  'no-majority': 'no majority: {reachable} of {voters} voters reachable, {needed} needed',
  'votes-held': 'majority of votes: {held} of {voters} held, {needed} needed, after {tookMs} ms',
  'votes-refused': 'only {held} of {needed} votes after {tookMs} ms; given back, next try in {pauseMs} ms',
  'operator-failover':
    'an operator asks this node to take over (loss accepted: {acceptLoss}); there are {here}, without {without}',
  'peer-ahead': '{peer} has received more ({theirs} > {ours}); {what}',
  'nodes-frozen': 'frozen: {frozen} follow this node, after {tookMs} ms',
  'election-blocked':
    'not promoted: {have} of the {need} members of R = {members} needed are here; waiting for {awaited}',
  'election-left-behind':
    'not promoted: witness {witness} keeps row {theirs} of the registry, this node has {ours}: the master had gone on without it; waiting for {awaited}',
  'election-rivals':
    'another epoch was fought for: {rivals} may have been promoted; waiting {waitMs} ms for the end of its lease',
  'fencing-command-failed': 'fencing_command failed ({detail}); not promoting',
  'command-done': '{hook}_command ran for {event}',
  'command-failed': '{hook}_command for {event} failed ({detail})',
  promoting:
    'promoting in epoch {epoch}: received {lsn}, {held} of {voters} votes, R = {members}, k = {needed}',
  promoted: 'server left recovery after {tookMs} ms',
  'epoch-established': 'epoch {epoch} is on a majority, after {tookMs} ms',
  'master-ready': 'this node is master of epoch {epoch}; sync {sync}; {tookMs} ms since {since}',
  'promotion-failed': 'promotion did not finish: {why}; fencing this server',
  'lease-kept': 'lease taken without a change of master: {held} of {voters} votes, epoch {epoch}',
  'lease-lapsed': 'lease lapsed: {held} of {voters} votes good, {needed} needed; {what}',
  'claim-failed': 'this server is writable but may not be: {why}; fencing it',
  'newer-master': '{master} is master of epoch {epoch}',
  'rejoin-waits':
    'not leaving for a rejoin yet: without this node {staying} of {voters} voters would stay, {needed} needed',
  'rejoin-started': 'rejoining as standby of {master}: {why} ({mode})',
  'not-streaming':
    'points at {master} and does not stream from it for {forMs} ms; see the log of this server (WAL removed there, rights, network)',
  rejoined: 'server came back as a standby after {tookMs} ms: {detail}',
  'wal-set-aside':
    'only this server had what is from {from} to {to} ({commits} commits); its WAL is kept in {folder}',
  'wal-thrown-away':
    'only this server had what is from {from} to {to} ({commits} commits); its WAL is not kept: {why}',
  'rejoin-failed': 'rejoin failed: {detail}; next try in {retryMs} ms',
  'sync-wish': 'synchronous_standby_names wished: {wish}',
  'sync-wish-refused': 'synchronous_standby_names = {wish} is refused: {why}; keeping {kept}',
  'sync-change': 'synchronous set: {from} -> {to} ({path})',
  'sync-changed': 'synchronous set is {to}, after {tookMs} ms',
  'sync-change-abandoned': 'change of the synchronous set abandoned in phase {phase}: {why}',
  'went-async':
    'synchronous replication degraded: {wished} wished, {alive} alive; writes go on without standbys',
  'back-to-sync': 'synchronous replication is back: {to}',
  'voter-added': '{voter} is a voter now: {voters} voters, {needed} make a majority',
  'voter-removed': '{voter} is no longer a voter: {voters} voters, {needed} make a majority',
  'node-following': '{voter} follows this node',
  'node-lost': '{voter} does not answer ({failure})',
  'node-back': '{voter} answers again',
  'leftover-held': '{voter} is writable in old epoch {epoch}; its commits are held and its sessions ended',
  'next-master': 'next master is {next}',
  'two-nodes': 'two nodes without a witness: no majority is possible, neither of the guarantees is kept',
  'foreign-server':
    'another server answers in the place of {voter} (system identifier {identifier}, pg_keeper.node_name {name}); nothing it says or lends counts',
  'witness-changed':
    'another server answers in the place of witness {voter} (system identifier {identifier}, timeline {timeline}, address {address}, in recovery: {inRecovery}); its vote is void: add it under another name, then remove {voter}',
  'master-left':
    'the worker stops beside a master: if none runs here again within {leftMs} ms, the guard ends this server and another node takes over',
  removed: 'this node was removed from the registry; it is no longer managed',
  'switchover-started': 'switchover to {target} begins (request {request}): checkpoint first',
  'switchover-refused': 'switchover refused (request {request}): {why}',
  'switchover-failed': 'switchover to {target} failed (request {request}): {why}',
  'switchover-done': 'switchover is done (request {request}): {target} is master of epoch {epoch}',
  'handing-over': 'handing over to {target}: stopping this server cleanly, {lag} bytes behind',
  'handover-stopped': 'the server is stopped after {tookMs} ms; asking {target} whether it has everything',
  'handed-over': '{target} has everything up to {end}; giving it the votes',
  'handover-broken-off':
    'handing over to {target} is broken off: {why}; starting this server again as master',
  'pools-paused': 'PgBouncer is paused after {tookMs} ms; clients wait',
  'pools-resumed': 'PgBouncer is resumed: {resumed} of {named} were paused',
  'pools-resume-failed': 'PgBouncer is not resumed: {detail}; it is tried on',
  'pools-paused-too-long':
    'PgBouncer has been paused for {forMs} ms and nobody is known to have taken over; resuming it',
  'handover-received': '{master} hands over to this node; electing at once',
  'cluster-paused': 'the cluster is paused: nobody is promoted or fenced by itself',
  'cluster-resumed': 'the pause is over',
  'pause-overruled': 'an operator ends the pause here, the master being gone',
  'lease-lapsed-paused':
    'lease lapsed in a pause: {held} of {voters} votes good, {needed} needed; going on, since nobody is promoted in a pause',
  'server-left-alone': 'the own server is {what}; it is left as it is ({why})',
} as const;

export type ReasonCode = keyof typeof reasons;

export type ReasonValue = string | number | boolean | null;

/** One decision: its code and every number behind it. */
export interface ReasonRecord {
  readonly code: ReasonCode;
  /** When it was decided, by the worker's monotonic clock, ms. */
  readonly at: number;
  readonly epoch: number;
  /** One more of the same in a long outage: for whoever watches closely only. */
  readonly again: boolean;
  readonly details: Readonly<Record<string, ReasonValue>>;
}

/** The operator's sentence, its placeholders filled. */
export function sentence(record: Pick<ReasonRecord, 'code' | 'details'>): string {
  return reasons[record.code].replace(/\{(\w+)\}/g, (_, key: string) => String(record.details[key] ?? '-'));
}

const warnings: ReadonlySet<ReasonCode> = new Set<ReasonCode>([
  'server-lost',
  'server-crashed',
  'server-frozen',
  'server-retire-failed',
  'server-start-failed',
  'master-suspected',
  'master-crashed',
  'operator-failover',
  'no-majority',
  'votes-refused',
  'election-blocked',
  'election-left-behind',
  'witness-changed',
  'lease-lapsed',
  'claim-failed',
  'wal-set-aside',
  'wal-thrown-away',
  'rejoin-failed',
  'not-streaming',
  'sync-wish-refused',
  'sync-change-abandoned',
  'went-async',
  'node-lost',
  'leftover-held',
  'two-nodes',
  'foreign-server',
  'fencing-command-failed',
  'command-failed',
  'promotion-failed',
  'master-left',
  'removed',
  'switchover-refused',
  'switchover-failed',
  'handover-broken-off',
  'pools-resume-failed',
  'pools-paused-too-long',
  'cluster-paused',
  'pause-overruled',
  'lease-lapsed-paused',
  'server-left-alone',
]);

export function isWarning(code: ReasonCode): boolean {
  return warnings.has(code);
}
