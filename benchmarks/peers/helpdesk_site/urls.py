"""Its own API under /api/, and its model behind stock views under /stock/."""

from django.urls import include, path
from helpdesk.models import Ticket
from rest_framework import pagination, permissions, routers, serializers, viewsets


class StockSerializer(serializers.ModelSerializer):
    class Meta:
        model = Ticket
        fields = "__all__"


class StockPages(pagination.PageNumberPagination):
    page_size = 25


class StockTickets(viewsets.ModelViewSet):
    queryset = Ticket.objects.order_by("-id")
    serializer_class = StockSerializer
    pagination_class = StockPages
    permission_classes = (permissions.IsAuthenticated,)


router = routers.DefaultRouter()
router.register("tickets", StockTickets)

urlpatterns = [path("stock/", include(router.urls)), path("", include("helpdesk.urls"))]
