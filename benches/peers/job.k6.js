// The job with k6: an arrival is an iteration, and so a virtual user that follows one work.
import { sleep } from 'k6';
import http from 'k6/http';

const rate = Number(__ENV.RATE);

export const options = {
  scenarios: {
    job: {
      executor: 'constant-arrival-rate',
      rate,
      timeUnit: '1s',
      duration: __ENV.LENGTH + 's',
      // A service time of 2 s and polls a second apart hold a user for 2.5 s; twice that is ample.
      preAllocatedVUs: Math.ceil(5 * rate + 50),
      gracefulStop: '60s',
    },
  },
};

const headers = { 'Content-Type': 'application/json' };

export default function () {
  const submit = http.post(`${__ENV.BASE_URL}/v1/intake/demo`, '{"source":"bench"}', { headers });
  let due = Date.now();
  const id = submit.json('work_id');
  const poll = { tags: { name: 'poll' } };
  for (;;) {
    due += 1000;
    sleep(Math.max(0, due - Date.now()) / 1000);
    const answer = http.get(`${__ENV.BASE_URL}/v1/intake/demo/work/${id}`, poll);
    if (answer.json('status') === 'completed') {
      return;
    }
  }
}
