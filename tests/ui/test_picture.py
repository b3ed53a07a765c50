"""Images at an address of their own: nothing but an image, and only one of the call."""

from llm_proxy.ui.picture import picture_file, picture_name, picture_url

PIXEL = "iVBORw0KGgo="


def test_what_an_image_is_shows_in_how_it_begins():
    assert picture_url(PIXEL) == f"data:image/png;base64,{PIXEL}"
    assert picture_url("/9j/4AAQ") == "data:image/jpeg;base64,/9j/4AAQ"
    assert picture_url("PHN2Zz4=") is None
    assert picture_url("") is None


def test_an_image_is_given_by_its_name_as_what_it_is():
    png, gif = f"data:image/png;base64,{PIXEL}", "data:image/gif;base64,R0lGODlh"

    answer = picture_file([png, gif], picture_name(gif))

    assert answer is not None
    assert (answer.body, answer.media_type) == (b"GIF89a", "image/gif")
    assert picture_file([png], picture_name(gif)) is None


def test_what_is_no_base64_is_no_image():
    url = "data:image/png;base64,iVBORw0"

    assert picture_file([url], picture_name(url)) is None
