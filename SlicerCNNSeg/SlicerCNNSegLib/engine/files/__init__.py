"""Files in and out: images, DICOM series and labelmaps; names and writing in one piece.

``atomic`` and ``paths`` are light (standard library only); ``images``, ``dicom``, ``slices``, ``regrid``
and ``labelmaps`` are heavy (SimpleITK, pydicom).
"""
