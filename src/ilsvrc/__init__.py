"""Every fact, label and byte of ILSVRC 2012 (ImageNet-1K), ready to train on."""
