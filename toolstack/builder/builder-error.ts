// The one error that building a domain throws for what it was given: images, sizes, command lines. Anything else
// that is thrown here is a bug of ours.

export type BuilderErrorCode =
  | 'not-a-kernel' // neither ELF nor bzImage
  | 'not-a-pv-kernel' // a kernel, but without Xen's notes for PV
  | 'kernel-32-bit'
  | 'truncated' // a header points beyond the end of the image
  | 'corrupt' // contradicts itself, or does not decompress
  | 'unsupported-compression'
  | 'unsupported-feature' // the kernel demands something of Xen that we do not have
  | 'too-little-memory' // neededBytes says how much would do
  | 'initrd-too-large' // likewise
  | 'bad-size' // memory or vCPUs that no domain can have, or that this machine has not got
  | 'bad-command-line'; // too long, or not printable ASCII

export class BuilderError extends Error {
  readonly code: BuilderErrorCode;
  /** guest memory in bytes with which this would have worked, where more memory would help */
  readonly neededBytes: number | undefined;
  constructor(code: BuilderErrorCode, message: string, neededBytes?: number) {
    super(message);
    this.name = 'BuilderError';
    this.code = code;
    this.neededBytes = neededBytes;
  }
}
