// Goal: the strict parser, which every other test leans on, really refuses what a gateway must not
// send.
import assert from 'node:assert/strict';
import {suite} from './registry.js';
import {StreamParser} from './stream.js';

const test = suite('parser');
const parse = (text) => {
  const parser = new StreamParser();
  parser.push(text);
  parser.end();
  return parser;
};

test('takes whole streams, in any split', {engines: 'one'}, async () => {
  const text =
    ':ok\nretry: 2345\nevent: sluice.open\ndata: {"id":"a-0"}\nid: a-0\n\n:\n:\ndata: one\ndata: \nid: a-1\n\n' +
    'event: score\ndata:  lead\nid: a-2\n\n: goodbye\nretry: 100\n';
  const whole = parse(text);
  assert.deepEqual(whole.events, [
    {type: 'sluice.open', data: '{"id":"a-0"}', id: 'a-0'},
    {type: 'message', data: 'one\n', id: 'a-1'},
    {type: 'score', data: ' lead', id: 'a-2'},
  ]);
  assert.deepEqual(whole.retries, [2345, 100]);
  assert.equal(whole.heartbeats, 2);
  const split = new StreamParser();
  for (const letter of text) split.push(letter);
  split.end();
  assert.deepEqual(split.events, whole.events);
});

test('refuses everything else', {engines: 'one'}, async () => {
  const bad = {
    'a blank line after a comment': ':\n\n',
    'a blank line after retry': 'retry: 1\n\n',
    'two blank lines': 'data: 1\n\n\n',
    'a type without data': 'event: a\n\n',
    'an id without data': 'id: 1\n\n',
    'a heartbeat inside a block': 'data: 1\n:\n\n',
    "retry inside a publisher's block": 'data: 1\nretry: 1\n\n',
    'CR LF': 'data: 1\r\n\r\n',
    'a lone CR': 'data: 1\r2\n\n',
    NUL: 'data: \0\n\n',
    'an unknown field': 'dada: 1\n\n',
    'no space after the colon': 'data:1\n\n',
    'retry that is no number': 'retry: soon\n',
    'data after the id': 'data: 1\nid: 1\ndata: 2\n\n',
    'two ids': 'data: 1\nid: 1\nid: 2\n\n',
    'the type last': 'data: 1\nevent: a\n\n',
    'an end inside a line': 'data: 1\n\ndata: 2',
    'an end inside a block': 'data: 1\n\ndata: 2\n',
  };
  for (const [what, text] of Object.entries(bad))
    assert.throws(() => parse(text), assert.AssertionError, what);
});
