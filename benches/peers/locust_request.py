"""Polls as fast as the users can: an open work, again and again."""

import os

from locust import FastHttpUser, task


class Poller(FastHttpUser):
    path = os.environ["POLL_PATH"]

    @task
    def poll(self):
        self.client.get(self.path, name="poll")
