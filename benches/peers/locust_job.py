"""The job with Locust: one user paces the submits by an ideal schedule, a greenlet follows a work.

Locust has no open arrivals of its own; this is its fast client with as little around it as can be."""

import os
import time

import gevent
from gevent.pool import Group
from locust import FastHttpUser, task

RATE = float(os.environ["RATE"])
COUNT = round(RATE * float(os.environ["LENGTH"]))


class Pacer(FastHttpUser):
    concurrency = 1_000

    @task
    def offer(self):
        works, start = Group(), time.perf_counter()
        for number in range(COUNT):
            wait = start + number / RATE - time.perf_counter()
            if wait > 0:
                gevent.sleep(wait)
            works.start(gevent.Greenlet(self.follow))
        works.join()
        self.environment.runner.quit()

    def follow(self):
        with self.client.post("/v1/intake/demo", json={"source": "bench"}, name="submit") as answer:
            due, path = time.perf_counter(), "/v1/intake/demo/work/" + answer.json()["work_id"]
        while True:
            due += 1
            gevent.sleep(max(0, due - time.perf_counter()))
            with self.client.get(path, name="poll") as answer:
                if answer.json()["status"] == "completed":
                    return
