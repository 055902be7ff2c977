/** libpq connection strings: both forms, quoting, masking. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatConninfo, maskConninfo, parseConninfo, withKeywords } from '../../src/core/conninfo.js';
import { formatLsn, parseLsn } from '../../src/core/lsn.js';
import { ballotOf, ballotText, originOf, toldOrigin } from '../../src/core/votes/ballot.js';
import { fencedConninfo, followConninfo, nowhereConninfo } from '../../src/core/watch/following.js';

function keywords(text: string): Readonly<Record<string, string>> {
  const parsed = parseConninfo(text);
  assert.equal(parsed.kind, 'parsed', JSON.stringify(parsed));
  return parsed.kind === 'parsed' ? Object.fromEntries(parsed.keywords) : {};
}

test('key/value form: quotes, escapes, blanks around the sign, the last of one keyword wins', () => {
  assert.deepEqual(keywords(`host = a port=1 port=2 password='it\\'s \\\\ x'`), {
    host: 'a',
    port: '2',
    password: "it's \\ x",
  });
});

test('URI form: several hosts, IPv6, percent-encoding, parameters', () => {
  assert.deepEqual(keywords('postgresql://u:p%40ss@h1:1,[::1]:2/db?connect_timeout=3'), {
    user: 'u',
    password: 'p@ss',
    dbname: 'db',
    host: 'h1,::1',
    port: '1,2',
    connect_timeout: '3',
  });
});

test('what libpq refuses is refused, with the keyword but without a value', () => {
  for (const text of [
    'host',
    'hots=a',
    "password='open",
    'postgresql://h/db?nonsense=1',
    'postgresql://u:%zz@h',
  ]) {
    assert.equal(parseConninfo(text).kind, 'problem', text);
  }
});

test('what is written is read back the same', () => {
  const values = fc.dictionary(
    fc.constantFrom('host', 'user', 'password', 'dbname', 'options'),
    fc.string({ minLength: 1, unit: 'grapheme' }),
  );
  fc.assert(
    fc.property(values, (found) => {
      const map = new Map(Object.entries(found).filter(([, value]) => !value.includes('\0')));
      assert.deepEqual(keywords(formatConninfo(map)), Object.fromEntries(map));
    }),
  );
});

test('no secret survives masking, in either form and however it is quoted', () => {
  fc.assert(
    fc.property(
      fc
        .string({ minLength: 6, maxLength: 20 })
        .filter((text) => /^[\w!#$%*+,;<>^~ '\\-]+$/.test(text) && text.trim().length > 5),
      (secret) => {
        const text = `failed: ${formatConninfo(
          new Map([
            ['host', 'h'],
            ['password', secret],
            ['user', 'u'],
          ]),
        )}`;
        assert.ok(!maskConninfo(text).includes(secret), maskConninfo(text));
      },
    ),
  );
  assert.equal(maskConninfo('postgresql://u:geheim@h/db'), 'postgresql://u:***@h/db');
});

test('a re-pointed standby keeps its own credentials and carries the ballot', () => {
  const voter = (name: string) => ({
    name,
    kind: 'node' as const,
    conninfo: `host=${name}.example port=6000 user=k`,
    database: 'd',
    seqno: 1,
  });
  const text = followConninfo(
    voter('n2'),
    "host=old user=rep password='a b' dbname=x",
    voter('n3'),
    ballotText(7),
  );
  assert.deepEqual(keywords(text), {
    host: 'n3.example',
    port: '6000',
    user: 'rep',
    password: 'a b',
    application_name: 'n2',
    fallback_application_name: 'pgkeeper:7',
  });
  // An address beside the name goes along: the name need not resolve everywhere.
  const known = { ...voter('n3'), conninfo: 'host=n3 hostaddr=10.0.0.3 port=6000' };
  const byAddress = keywords(followConninfo(voter('n2'), 'host=old hostaddr=10.0.0.9', known, ballotText(7)));
  assert.deepEqual([byAddress['host'], byAddress['hostaddr']], ['n3', '10.0.0.3']);
  assert.equal(
    keywords(followConninfo(voter('n2'), 'hostaddr=10.0.0.9', voter('n3'), ''))['hostaddr'],
    undefined,
  );
  assert.equal(ballotOf(text), 7);
  assert.equal(ballotOf(withKeywords(text, { fallback_application_name: 'psql' })), 0);
});

test('a ballot tells of which promotion a timeline without a row is', () => {
  const marked = `host=/x fallback_application_name=${ballotText(7, [{ timeline: 2, epoch: 5 }])}`;
  assert.deepEqual([ballotOf(marked), originOf(marked, 2), originOf(marked, 3)], [7, 5, 7]);
  const plain = `host=n3 fallback_application_name=${ballotText(7)}`;
  assert.deepEqual([ballotOf(plain), originOf(plain, 2), originOf('host=n3', 2)], [7, 7, 0]);
  assert.equal(ballotOf(fencedConninfo(marked)), 7);
  assert.equal(originOf(fencedConninfo(marked), 2), 5);
  const promised = `host=/x fallback_application_name=${ballotText(7, [{ timeline: 2, epoch: 7 }])}`;
  assert.equal(toldOrigin(promised, 2)?.epoch, 7);
  assert.equal(toldOrigin(fencedConninfo(promised), 2), null, 'it makes no timeline any more');
  assert.equal(originOf(fencedConninfo(promised), 2), 7, 'and of one that it made all is told');
  const both = `host=/x fallback_application_name=${ballotText(7, [
    { timeline: 2, epoch: 5 },
    { timeline: 3, epoch: 7 },
  ])}`;
  assert.deepEqual([originOf(both, 2), toldOrigin(both, 3)?.epoch], [5, 7]);
  assert.deepEqual([ballotOf(fencedConninfo(both)), originOf(fencedConninfo(both), 2)], [7, 5]);
  assert.equal(toldOrigin(fencedConninfo(both), 3), null, 'only what it has is told of a dead one');
  assert.equal(fencedConninfo('host=n3 user=u'), 'host=/pgkeeper-no-server user=u');
  assert.equal(fencedConninfo(''), '');
});

test('what a node streams with outlives the times when it follows nobody', () => {
  const voter = (name: string) => ({
    name,
    kind: 'node' as const,
    conninfo: `host=${name} user=k`,
    database: 'd',
    seqno: 1,
  });
  const own = { user: 'rep', password: 'p', sslmode: 'require' };
  const present = `host=n1 hostaddr=10.0.0.1 port=6 ${Object.entries(own)
    .map(([keyword, value]) => `${keyword}=${value}`)
    .join(' ')}`;
  const promoted = nowhereConninfo({ name: 'n2' }, present, ballotText(8));
  assert.deepEqual(keywords(promoted), {
    ...own,
    host: '/pgkeeper-no-server',
    application_name: 'n2',
    fallback_application_name: 'pgkeeper:8',
  });
  const back = followConninfo(voter('n2'), fencedConninfo(promoted), voter('n3'), ballotText(9));
  assert.deepEqual(keywords(back), {
    ...own,
    host: 'n3',
    port: '5432',
    application_name: 'n2',
    fallback_application_name: 'pgkeeper:9',
  });
  // One without a user would be the user of the system: what the master streams with, or the registry's, is better.
  const bare = nowhereConninfo({ name: 'n2' }, '', ballotText(8));
  const follow = (targetsOwn: string) =>
    keywords(followConninfo(voter('n2'), bare, voter('n3'), ballotText(9), targetsOwn));
  assert.equal(follow('host=n1 user=theirs')['user'], 'theirs');
  assert.equal(follow(bare)['user'], 'k');
  assert.equal(
    keywords(nowhereConninfo({ name: 'n2' }, "host='", ballotText(8)))['host'],
    '/pgkeeper-no-server',
  );
});

test('WAL positions are 64 bit and come back as PostgreSQL writes them', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (position) => {
      const text = `${(position >> 32n).toString(16).toUpperCase()}/${(position & 0xffffffffn).toString(16).toUpperCase()}`;
      assert.equal(parseLsn(text), position);
      assert.equal(formatLsn(parseLsn(text)), text);
    }),
  );
  assert.throws(() => parseLsn('16/B374D84G'), RangeError);
});
