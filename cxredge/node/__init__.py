"""The DICOM node: it receives radiographs, analyses them, sends the results, and loses none. `docs/node.md`.

Needs the extra `node`. How it holds together: an instance is answered with success only when its file and its row are
on disk (`spool`, `images`); a worker process takes the rows in their order and leaves the results as files; a row a
destination (`deliveries`) stays until that destination has all of them. Everything that must outlive a crash is in
those files and rows, and every step may be done twice: identifiers of results follow from image and bundle.
"""
