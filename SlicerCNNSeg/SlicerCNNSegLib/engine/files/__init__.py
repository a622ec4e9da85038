"""Files in and out: images, DICOM series and labelmaps; names, and writing in one piece.

``atomic`` and ``paths`` are light (standard library only); the others are heavy (SimpleITK, pydicom).

- ``images`` is the one door for reading a volume; ``nifti`` puts right what ITK keeps quiet about;
- ``dicom`` finds and reads series: ``slices`` says where each plane lies, ``stacks`` whether they make
  up one volume, ``regrid`` puts tilted and uneven ones on a regular grid;
- ``labelmaps`` reads and writes masks, ``segments`` the names, colours and codes in ``.seg.nrrd``.
"""
