// Polls as fast as the users can: an open work, again and again.
import http from 'k6/http';

export const options = { vus: 64, duration: __ENV.LENGTH + 's', discardResponseBodies: true };

export default function () {
  http.get(__ENV.POLL_URL);
}
