"""The server of `ilsvrc view`: a data set as pages, straight from where it lies.

`server` joins the rest. `guard` lets requests through; `pages`, `label_pages` and `report_page` answer them. Others
hold what is on a page.
"""
