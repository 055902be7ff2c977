/**
 * What a keeper knows. The state is owned by `step`, which changes it in place: one keeper, one owner, no aliases
 * outside. (A fresh copy per event would cost more than the decisions.)
 *   starting ──> idle (not registered)
 *      │  └────> standby ──suspicion──> electing ──won──> master
 *      │            ^  ^                   │ ^              │ lease lapsed, sync on
 *      │            │  └───────lost────────┘ └──────────────┤ (claim: the same election)
 *      └─ writable ─┼──> electing (claim)                   │ lease lapsed, sync off; claim failed
 *                   └──────── rejoining <── (fenced standby) <── down: retired, started again
 */

import type { Command, SyncRow, WitnessKey } from './effects.js';
import type { Answer } from './events.js';
import type { Lsn } from './lsn.js';
import type { Master } from './master-state.js';
import type { ReasonCode, ReasonRecord } from './reasons.js';
import type { CoreSettings, LinkFailure, Observation, Registry } from './types.js';

/** A held vote; good until renewedAt + lease_ttl - margin. */
export interface Vote {
  /** When the last answered renewal was sent (the holder's clock). */
  renewedAt: number;
  /** lease_ttl as the voter has it for this vote. */
  readonly ttlMs: number;
  readonly grantedAt: number;
  /** Workers whose session on that voter was in use just before it was granted, and is old: they know, and acted on it. */
  readonly workers: readonly string[];
}

/** This worker's one kept session to one voter. */
export interface Link {
  readonly voter: string;
  conninfo: string | null;
  database: string | null;
  /** Null for a node. */
  witness: WitnessKey | null;
  session: 'none' | 'opening' | 'open';
  attempt: number;
  openingSince: number;
  /** When the present session was ready. */
  openedAt: number;
  /** Earliest time of the next attempt. */
  retryAt: number;
  /** How the last session or attempt ended, and when; null after a success. */
  failure: LinkFailure | null;
  failedAt: number;
  /** What the other side or the system said of it. */
  detail: string;
  /** How the last *open* session ended (cut, planned-stop, ...) and when. */
  cut: LinkFailure | null;
  cutAt: number;
  /** When the last answered poll was sent, or another sign of life came. */
  lastAlive: number;
  /** Polls failed since then. */
  misses: number;
  busy: { readonly id: number; readonly command: Command; readonly sentAt: number } | null;
  vote: Vote | null;
  /** The vote is given back as soon as what runs on the session is answered. */
  releasing: boolean;
  /** When a vote held before was last renewed, kept after its loss: the fresh-birth exception asks for it. */
  lastHeldAt: number;
  /** The ballot that this worker wrote there last, as the answer says; 0 = none. */
  foughtFor: number;
  /** The last try was refused, and when. */
  refusedAt: number;
  obs: Observation | null;
  /** When the observation in `obs` was asked for. */
  obsAt: number;
  /** When it arrived. */
  obsDoneAt: number;
  /** Until then this worker did not see who says what to that voter: no look for long before. */
  missedUntil: number;
  /** The master's worker as last seen there, when it last said something to it, and when that look was asked for. */
  trace: { readonly master: string; readonly saidAt: number; readonly seenAt: number } | null;
  /** What was told last of another server that answers in its place: told again when that changes. */
  saidForeign: string | null;
  /** Since when that voter answers nothing but "starting up" or "shutting down". */
  startingSince: number | null;
}

export interface Suspicion {
  /** Of the master of that epoch. */
  readonly epoch: number;
  readonly round: number;
  readonly since: number;
  readonly fast: boolean;
  deadline: number;
  readonly answers: Map<string, 'pending' | 'sees' | 'does-not' | 'no-answer'>;
}

export type ElectionPhase =
  | 'gather'
  | 'vote'
  | 'catch-up'
  | 'freeze'
  | 'fencing-command'
  | 'promote'
  | 'epoch'
  | 'establish'
  | 'names';

export interface Election {
  readonly kind: 'electing';
  /** failover: the master is gone. claim: the own server is writable and asks to stay (start, or after a gap). */
  readonly cause: 'failover' | 'claim';
  phase: ElectionPhase;
  /** Everything read for this round is read after this time. */
  startedAt: number;
  phaseAt: number;
  readonly since: number;
  /** A claim must succeed by then, or the server is fenced. */
  readonly giveUpAt: number | null;
  round: number;
  pauseUntil: number;
  oldMaster: string | null;
  /** The epoch whose master is gone: a row of a newer one ends this election. */
  readonly baseEpoch: number;
  /** The epoch fought for; the ballot in every frozen node's primary_conninfo. */
  epoch: number;
  /** All votes held and nobody shows anything newer: a claim goes on in its old epoch. */
  keepEpoch: boolean;
  frozen: Set<string>;
  /** Nodes whose primary_conninfo was seen with this election's ballot. */
  balloted: Set<string>;
  aheadOf: string | null;
  /** synchronous_standby_names of this server's own files. */
  file: string | null;
  wishRead: boolean;
  hookAsked: boolean;
  /** Begun by an operator's word: this node stands, whatever the ranking says. */
  byOperator: boolean;
  /** Commits that may be missing are given up. */
  lossAccepted: boolean;
  /** Nothing is acknowledged here any more. */
  holdProven: boolean;
  /** With sync off: the former master's lease was waited for. */
  leaseIsOver: boolean;
  /** Until when another one that fought for an epoch may believe in its votes. */
  rivalsUntil: number;
  renewedFor: number;
  sent: Set<string>;
  writtenLsn: Lsn | null;
  sync: SyncRow | null;
  blocked: string | null;
  readonly marks: Map<string, number>;
}

/** From the stop of the server on. */
export interface HandoverStop {
  readonly target: string;
  /** Position of the last record, once it is stopped. */
  end: Lsn | null;
  /** When the present phase of it began. */
  phaseAt: number;
}

export type Role =
  /** wasMaster: this worker held the lease until its server went away. */
  | { readonly kind: 'starting'; readonly wasMaster?: boolean }
  | { readonly kind: 'idle' }
  | {
      readonly kind: 'standby';
      suspicion: Suspicion | null;
      /** No new suspicion before. */
      suspectAfter: number;
      /** Since when this server should stream from the master but does not. */
      strayedSince: number | null;
      /** It would leave for a rejoin, and too few others are there. */
      missed: { readonly source: string; readonly since: number; said: boolean } | null;
      /** Since when it follows somebody's unfinished promotion, and that one is not writable. */
      deadEndSince: number | null;
      /** Told once per stray. */
      saidStrayed: boolean;
      receiverEndedAt: number;
      /** When this worker last put its server under hold. */
      heldAt: number;
      blocked: string | null;
    }
  | Election
  | Master
  | {
      readonly kind: 'down';
      readonly wasMaster: boolean;
      readonly since: number;
      server:
        | 'unknown'
        | 'stopped-clean'
        | 'crashed'
        | 'retiring'
        | 'retire-again'
        | 'retired'
        | 'starting'
        /** A switchover: being stopped; stopped, and the target is asked what it has; started again as master. */
        | 'stopping'
        | 'verifying'
        | 'resuming';
      retryAt: number;
      tries: number;
      handover?: HandoverStop;
      /** It was told that the server is left as it is. */
      saidLeft?: boolean;
    }
  | {
      readonly kind: 'rejoining';
      readonly since: number;
      readonly source: string;
      pausedUntil: number;
      tries: number;
    };

export interface Keeper {
  settings: CoreSettings;
  now: number;
  readonly startedAt: number;
  readonly links: Map<string, Link>;
  /** The one of `links` to the own server, which is always there. */
  readonly own: Link;
  /** Newest (epoch, version) row seen anywhere. */
  registry: Registry | null;
  /** The row that `links` were last matched with; undefined = none yet. */
  linksMatch: Registry | null | undefined;
  role: Role;
  /** This worker won its place and has not begun an election since: a lease it holds is that of a master, not of a claim. */
  leads: boolean;
  /** Epoch whose master this worker has itself seen writable. */
  seenMasterEpoch: number;
  seenMasterAt: number;
  /** When another node last said, or a WAL receiver or the master's session on a voter showed, that the master is at work. */
  seenByPeerAt: number;
  /** When this worker next wanted to be woken, as its last step asked. */
  wakeAt: number;
  /** When it last came to itself after being late by more than a margin (a frozen host): what it had not heard until then says nothing. */
  lateAt: number;
  /** Since when this standby streams from nobody with the interval of an election, under that primary_conninfo. */
  shortRetry: { readonly conninfo: string; readonly since: number } | null;
  /** When each node's worker was last seen at work on any voter. */
  readonly workersSeenAt: Map<string, number>;
  nextId: number;
  random: number;
  listening: { readonly voter: string | null; readonly conninfo: string | null };
  rejoinTries: number;
  /** Where this worker first saw the present pause; null = there is none. */
  pausedAt: { readonly epoch: number; readonly version: number; established: boolean } | null;
  saidPaused: boolean;
  /** In which epoch an operator ended the pause on this server, the master being gone. */
  overruledIn: number | null;
  handoverTrouble: string | null;
  /** This worker has paused the PgBouncers for that request, in that epoch, and nobody is known to have resumed them. */
  poolsPaused: { readonly request: number; readonly epoch: number; readonly until: number } | null;
  /** This node handed over and gives the target time to become master. */
  yields: { readonly epoch: number; readonly target: string; readonly until: number } | null;
  /** Elections in a row that ended with the own session: the next one waits longer each time. */
  brokenElections: number;
  /** Decisions that come in each round of an outage: when last made, when last told, how many in a row. */
  readonly said: Map<ReasonCode, { readonly at: number; readonly toldAt: number; readonly count: number }>;
  /** Since when two nodes are alone with each other and quorum = auto; 'said' = it was warned of. */
  twoNodesSince: number | 'said' | null;
  /** Decisions not yet written to the events table. */
  readonly journal: ReasonRecord[];
  reportedState: string;
  /** What an operator asked of this node when last heard, and when it was asked for. */
  word: { readonly acceptLoss: boolean; readonly heardAt: number } | null;
  wordAskedAt: number;
  /** The registry without voters whose loss an operator accepted, for one election; null = none under way. */
  forced: { readonly before: Registry; readonly forced: Registry } | null;
}

/** Answers are matched to what was asked; this is what ingest hands on to the role. */
export interface Arrived {
  readonly voter: string;
  readonly command: Command;
  readonly sentAt: number;
  readonly answer: Answer;
}
