"""Texts as customers write them: a few words everywhere, most words hardly ever, in French and in English."""

import random
from itertools import accumulate, product

COMMON = [
    "de", "la", "le", "je", "pas", "commande", "colis", "the", "my", "est", "bonjour", "reçu", "un",
    "order", "livraison", "for", "not", "produit", "depuis", "mon", "et", "is", "remboursement", "merci",
    "parcel", "vous", "a", "été", "to", "cassé", "retard", "arrived", "refund", "facture", "écran",
    "please", "article", "I", "have", "chargeur", "broken", "toujours", "numéro", "adresse", "aujourd",
    "delivery", "batterie", "pourquoi", "help", "never", "échange", "besoin", "garantie", "problème",
    "screen", "paiement", "wrong", "carte", "attente", "réponse", "manque", "délai", "warranty", "missing",
    "address", "cadeau", "couleur", "taille", "invoice", "payment", "urgent", "défectueux", "abîmé",
    "annuler", "transporteur", "jamais", "suivi", "tracking", "battery", "charger", "damaged",
    "replacement", "client", "service", "téléphone",
]  # fmt: skip
"""The most frequent first."""

_BEGINNINGS = [
    "ba", "bé", "ca", "cha", "co", "dé", "do", "fa", "fi", "ga", "gra", "ha", "jo", "ka", "la", "li", "ma",
    "mé", "mo", "na", "no", "pa", "plu", "po", "ra", "ré", "ri", "sa", "sé", "so", "ta", "tra", "va", "vi",
    "zo", "sto", "cle", "bri",
]  # fmt: skip
_MIDDLES = [
    "ba", "ci", "da", "dé", "ga", "li", "lo", "ma", "mi", "na", "né", "pa", "ri", "ro", "sa", "si", "ta",
    "té", "vo", "xi", "ffa", "lle", "nne", "sse",
]  # fmt: skip
_ENDS = [
    "age", "eur", "ment", "tion", "ique", "able", "ette", "ing", "ness", "less", "menté", "ure", "oir",
    "el", "ic", "on",
]  # fmt: skip
TAIL = 20_000
POOL = 400_000


def vocabulary(dice: random.Random) -> list[str]:
    """All words there are, the most frequent first."""
    made = ["".join(parts) for parts in product(_BEGINNINGS, _MIDDLES, _MIDDLES, _ENDS)]
    return [*COMMON, *dice.sample(made, TAIL)]


class Writer:
    """Writes texts in which the nth word of the vocabulary comes about 1/n as often as the first."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        words = vocabulary(dice)
        # Drawn once and read from anywhere: drawing each word would take minutes for a million tickets.
        shares = list(accumulate(1 / rank for rank in range(10, 10 + len(words))))
        self._pool = dice.choices(words, cum_weights=shares, k=POOL)

    def words(self, least: int, most: int) -> str:
        """Some words, as many as that."""
        start = int(self._dice.random() * (POOL - most))
        return " ".join(self._pool[start : start + least + int(self._dice.random() * (most - least))])

    def description(self) -> str:
        """A text that names an order now and then."""
        text = self.words(8, 35)
        if self._dice.random() < 0.3:
            return f"{text} CMD-{int(self._dice.random() * 1e6):06d}."
        return f"{text}."
