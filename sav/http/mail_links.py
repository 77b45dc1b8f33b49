"""`/public/surveys/{token}` and `/public/unsubscribe/{token}`: where the links in mails lead.

The token is all the authority there is; there are no cookies. Mail scanners follow links, so `GET` changes
nothing. A link that is not good shows one and the same page, whatever is wrong with it.
"""

from collections.abc import Callable
from contextlib import suppress

from sav.domain.errors import NotFound
from sav.domain.locales import Locale
from sav.domain.signed_tokens import BadToken, unsubscribed_address
from sav.http import documents, pages, payloads
from sav.http.routes import Call, Description, Reply, Resource, responder
from sav.operations.mail_preferences import unsubscribe
from sav.operations.service_secrets import known_link_secret
from sav.operations.settle_ticket import AlreadyRated
from sav.operations.surveys import answer_survey, survey_of


class _LinkResource(Resource):
    def _locale(self, call: Call) -> Locale:
        accepted = call.request.get_header("Accept-Language")
        return pages.chosen_locale(accepted, default=self.desk.default_locale)

    def _or_gone(self, call: Call, answer: Callable[[], Reply]) -> Reply:
        try:
            return answer()
        except NotFound:
            if call.admission:
                call.admission.wrong_guess()
            return Reply(document={}, status=404, page=pages.gone_page(locale=self._locale(call)))


class SurveyLink(_LinkResource):
    """The survey of a closed ticket."""

    @responder(
        Description(
            summary="Show the survey of a closed ticket, as a page",
            callers="anyone",
            guessable=True,
            query=payloads.SurveyQuery,
            answer=documents.Done,
            page=True,
        )
    )
    def on_get(self, call: Call) -> Reply:
        def answer() -> Reply:
            survey = survey_of(call.texts["token"], occasion=call.occasion)
            locale = survey.locale or self._locale(call)
            if survey.is_answered:
                return Reply(document={}, page=pages.thanks_page(locale=locale))
            page = pages.survey_page(
                locale=locale,
                number=survey.ticket_number,
                subject=survey.subject,
                chosen=call.query.rating,
            )
            return Reply(document={}, page=page)

        return self._or_gone(call, answer)

    @responder(
        Description(
            summary="Answer the survey of a closed ticket, once",
            callers="anyone",
            guessable=True,
            query=payloads.SurveyQuery,
            body=payloads.SatisfactionBody,
            body_as_form=True,
            answer=documents.Done,
            page=True,
        )
    )
    def on_post(self, call: Call) -> Reply:
        def answer() -> Reply:
            survey = survey_of(call.texts["token"], occasion=call.occasion)
            # Sent twice, or answered elsewhere: the first answer counts, and thanks are due for both.
            with suppress(AlreadyRated):
                answer_survey(
                    survey=survey,
                    occasion=call.occasion,
                    rating=call.body.rating,
                    comment=call.body.comment,
                )
            return Reply(document={}, page=pages.thanks_page(locale=survey.locale or self._locale(call)))

        return self._or_gone(call, answer)


class UnsubscribeLink(_LinkResource):
    """The end of mails that are not essential."""

    @responder(
        Description(
            summary="Ask whether mails that are not essential should end, as a page",
            callers="anyone",
            guessable=True,
            answer=documents.Done,
            page=True,
        )
    )
    def on_get(self, call: Call) -> Reply:
        def answer() -> Reply:
            self._address(call)
            return Reply(document={}, page=pages.unsubscribe_page(locale=self._locale(call)))

        return self._or_gone(call, answer)

    @responder(
        Description(
            summary="End mails that are not essential, by one click (RFC 8058)",
            callers="anyone",
            guessable=True,
            answer=documents.Done,
            page=True,
        )
    )
    def on_post(self, call: Call) -> Reply:
        def answer() -> Reply:
            unsubscribe(hash_of_address=self._address(call), now=call.now)
            return Reply(document={}, page=pages.unsubscribed_page(locale=self._locale(call)))

        return self._or_gone(call, answer)

    def _address(self, call: Call) -> str:
        secret = known_link_secret()
        if secret is None:
            raise NotFound
        try:
            return unsubscribed_address(call.texts["token"], secret=secret)
        except BadToken:
            raise NotFound from None
