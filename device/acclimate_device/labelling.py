"""Where the labels of a live source come from: the row itself, or what later rows tell, by a rule.

What waits for a rule is nowhere but in the agent: the predictions that have no label yet. So it survives whatever they
survive, and an agent that was stopped, or killed, goes on labelling where it was.
"""

from acclimate_device.agent import Agent
from acclimate_device.natural import NaturalLabels, Rule
from acclimate_device.sources.event import Event

Known = list[tuple[str, str | float]]  # id of a prediction, and its label


class Labelling:
    """Knows the labels of the predictions of one agent.

    Attributes:
        resumed: labels of predictions of an earlier life that are known already; to be given first.
    """

    def __init__(self, agent: Agent, rule: Rule | None) -> None:
        """Begin with the predictions that wait.

        Args:
            agent: that predicts.
            rule: how later events label earlier ones; None where every row brings its own label.
        """
        self._natural = NaturalLabels(rule) if rule else None
        self.resumed: Known = []
        if self._natural is not None and rule:
            for name, key, time_s, value in agent.waiting(rule.column):
                self.resumed += self._natural.see(name, key, time_s, {rule.column: value})

    def after(self, prediction_id: str, event: Event, time_s: float) -> Known:
        """Return the labels that are known now that an event has been predicted.

        Args:
            prediction_id: of the event's own prediction.
            event: that was predicted.
            time_s: event time in seconds.
        """
        if self._natural is not None:
            return self._natural.see(prediction_id, event.key, time_s, event.values)
        return [] if event.label is None else [(prediction_id, _plain(event.label))]


def _plain(label: object) -> str | float:
    return label if isinstance(label, str | float) else str(label)
