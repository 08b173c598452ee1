"""What the sources answered, kept in one SQLite file: each answer is there whole or not at all, whatever interrupts."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from catalog.refresh.client import RefreshError

FILE = "answers.sqlite"


@dataclass(frozen=True)
class Answer:
    """An answer and the day on which it was given."""

    day: date
    data: Any


class Answers:
    """The kept answers, by source and by what was asked for. Those older than `max_age` days count as not there."""

    def __init__(self, folder: Path, today: date, max_age: int):
        self.today = today
        self._oldest = today - timedelta(days=max_age)
        self.path = folder / FILE
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._store = sqlite3.connect(self.path, isolation_level=None)
            # Safe against a crash, and without a wait for the disk after each answer.
            self._store.execute("PRAGMA journal_mode = WAL")
            self._store.execute("PRAGMA synchronous = NORMAL")
            self._store.execute(
                "CREATE TABLE IF NOT EXISTS answers"
                " (source TEXT, asked TEXT, day TEXT, data TEXT, PRIMARY KEY (source, asked)) WITHOUT ROWID"
            )
        except (OSError, sqlite3.Error) as error:
            raise self._unusable(error) from error

    def get(self, source: str, asked: str) -> Answer | None:
        """The answer to `asked`, if there is one that is young enough."""
        try:
            row = self._store.execute(
                "SELECT day, data FROM answers WHERE source = ? AND asked = ?", (source, asked)
            ).fetchone()
        except sqlite3.Error as error:
            raise self._unusable(error) from error
        if row is None:
            return None
        day = date.fromisoformat(row[0])
        return Answer(day, json.loads(row[1])) if self._oldest <= day <= self.today else None

    def put(self, source: str, answers: Mapping[str, Any]) -> None:
        """Keep answers of today, all of them or none."""
        day = self.today.isoformat()
        rows = [(source, asked, day, json.dumps(data)) for asked, data in answers.items()]
        try:
            with self._store:
                self._store.execute("BEGIN")
                self._store.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?)", rows)
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def close(self) -> None:
        self._store.close()

    def _unusable(self, error: Exception) -> RefreshError:
        return RefreshError(f"{self.path} cannot be used ({error}); if it is broken, delete it")
