/**
 * A guest for QEMU that needs no BIOS, no disk and no assembler: a 64 KiB firmware image that copies a counter
 * program into RAM and jumps there. The program counts timer interrupts, so it costs next to nothing, and it only
 * goes on after a resume if registers, interrupt controller, timer and memory all came back. A reboot would begin
 * at 0 again. Prints "counter N" on the first serial port at each count.
 */

/** Guest-physical address of the 32-bit little-endian counter; in QEMU's RAM file the offset is the same. */
export const counterAddress = 0x1000
/** Counts in a second. */
const countsPerSecond = 100

/** QEMU takes firmware only in multiples of this; mapped at 0xf0000 and at the top of 4 GiB. */
const firmwareBytes = 0x10000
/** Where the processor begins, in the firmware. */
const resetOffset = 0xfff0
const programOffset = 0x100
const programAddress = 0x7c00

/** Hertz of the PC's timer, and the fewest interrupts in a second that it can make. */
const timerClock = 1_193_182
const ticksMin = 19

const low = (word: number) => word & 0xff
const high = (word: number) => word >> 8

/** At f000:fff0, the first instruction of all. */
const reset = [0xea, 0x00, 0x00, 0x00, 0xf0] // jmp f000:0000

/** At f000:0000: copy the program into RAM and go there. */
function loader(bytes: number): number[] {
  return [
    ...[0xfa], //                                                    cli
    ...[0xfc], //                                                    cld
    ...[0x31, 0xc0], //                                              xor ax, ax
    ...[0x8e, 0xc0], //                                              mov es, ax
    ...[0x8e, 0xd0], //                                              mov ss, ax
    ...[0xbc, low(programAddress), high(programAddress)], //         mov sp, programAddress
    ...[0x0e, 0x1f], //                                              push cs; pop ds
    ...[0xbe, low(programOffset), high(programOffset)], //           mov si, programOffset
    ...[0xbf, low(programAddress), high(programAddress)], //         mov di, programAddress
    ...[0xb9, low(bytes), high(bytes)], //                           mov cx, bytes
    ...[0xf3, 0xa4], //                                              rep movsb
    ...[0xea, low(programAddress), high(programAddress), 0x00, 0x00], // jmp 0000:programAddress
  ]
}

/** mov al, value; out port, al. Ports below 256. */
const outByte = (port: number, value: number) => [0xb0, value, 0xe6, port]

const interruptHandler = [
  ...[0x50], //                        push ax
  ...outByte(0x20, 0x20), //           the interrupt controller may send the next one
  ...[0x58], //                        pop ax
  ...[0xcf], //                        iret
]

const timerVector = 0x20

/** At 0000:programAddress in RAM. The processor is halted for so many ticks between two counts. */
const program = (timerDivisor: number, ticks: number) => [
  ...[0xeb, interruptHandler.length], //                             jmp over the handler
  ...interruptHandler,
  ...[0x31, 0xc0], //                                                xor ax, ax
  ...[0x8e, 0xd8], //                                                mov ds, ax
  // Interrupt vector of the timer: 0000:programAddress + 2.
  ...[0xc7, 0x06, timerVector * 4, 0x00, low(programAddress + 2), high(programAddress + 2)], // mov word [80h], handler
  ...[0xc7, 0x06, timerVector * 4 + 2, 0x00, 0x00, 0x00], //         mov word [82h], 0
  // First interrupt controller: initialise, vectors from timerVector, second one on line 2, 8086 mode; only the timer.
  ...outByte(0x20, 0x11),
  ...outByte(0x21, timerVector),
  ...outByte(0x21, 0x04),
  ...outByte(0x21, 0x01),
  ...outByte(0x21, 0xfe),
  // Timer 0: both bytes of the divisor, square wave.
  ...outByte(0x43, 0x36),
  ...outByte(0x40, low(timerDivisor)),
  ...outByte(0x40, high(timerDivisor)),
  ...[0x66, 0xc7, 0x06, low(counterAddress), high(counterAddress), 0, 0, 0, 0], // mov dword [counter], 0
  ...[0xfb], //                                                      sti
  ...[0xb9, low(ticks), high(ticks)], //                     next:   mov cx, ticks
  ...[0xf4], //                                              tick:   hlt
  ...[0xe2, 0xfd], //                                                loop tick
  ...[0x66, 0xff, 0x06, low(counterAddress), high(counterAddress)], // inc dword [counter]
]

/** Prints "counter N\r\n", then goes back to next. Follows program. */
function printer(address: number, next: number): number[] {
  const text = Buffer.from('counter \0', 'latin1')
  const put = [
    ...[0x50], //                                    put:    push ax
    ...[0xba, 0xfd, 0x03], //                                mov dx, 3fdh, the line's status
    ...[0xec], //                                    busy:   in al, dx
    ...[0xa8, 0x20], //                                      test al, 20h, ready for a byte
    ...[0x74, 0xfb], //                                      jz busy
    ...[0x58], //                                            pop ax
    ...[0xba, 0xf8, 0x03], //                                mov dx, 3f8h
    ...[0xee], //                                            out dx, al
    ...[0xc3], //                                            ret
  ]
  const putAddress = address + 2
  const textAddress = putAddress + put.length
  const bytes = [...[0xeb, put.length + text.length], ...put, ...text] // jmp over both
  const here = () => address + bytes.length
  const callPut = () => [0xe8, ...word(putAddress - (here() + 3))]

  bytes.push(0xbe, ...word(textAddress)) //                  mov si, text
  const letter = here()
  bytes.push(0xac) //                                letter: lodsb
  bytes.push(0x84, 0xc0) //                                  test al, al
  bytes.push(0x74, 5) //                                     jz digits
  bytes.push(...callPut()) //                                call put
  bytes.push(0xeb, low(letter - (here() + 2))) //            jmp letter
  bytes.push(0x66, 0xa1, ...word(counterAddress)) // digits: mov eax, [counter]
  bytes.push(0x66, 0xbb, 10, 0, 0, 0) //                     mov ebx, 10
  bytes.push(0x31, 0xc9) //                                  xor cx, cx
  const divide = here()
  bytes.push(0x66, 0x31, 0xd2) //                    divide: xor edx, edx
  bytes.push(0x66, 0xf7, 0xf3) //                            div ebx
  bytes.push(0x52) //                                        push dx
  bytes.push(0x41) //                                        inc cx
  bytes.push(0x66, 0x85, 0xc0) //                            test eax, eax
  bytes.push(0x75, low(divide - (here() + 2))) //            jnz divide
  const digit = here()
  bytes.push(0x58) //                                digit:  pop ax
  bytes.push(0x04, 0x30) //                                  add al, '0'
  bytes.push(...callPut()) //                                call put
  bytes.push(0xe2, low(digit - (here() + 2))) //             loop digit
  bytes.push(0xb0, 0x0d) //                                  mov al, '\r'
  bytes.push(...callPut()) //                                call put
  bytes.push(0xb0, 0x0a) //                                  mov al, '\n'
  bytes.push(...callPut()) //                                call put
  bytes.push(0xe9, ...word(next - (here() + 3))) //          jmp next
  return bytes
}

/** A 16-bit value, also a negative one, as two bytes. */
function word(value: number): [number, number] {
  return [value & 0xff, (value >> 8) & 0xff]
}

/** The firmware image, for QEMU's -bios. */
export function counterFirmware(perSecond = countsPerSecond): Buffer {
  const ticks = Math.ceil(ticksMin / perSecond)
  const counting = program(Math.round(timerClock / (perSecond * ticks)), ticks)
  const waitAndInc = 11
  const next = programAddress + counting.length - waitAndInc
  const whole = [...counting, ...printer(programAddress + counting.length, next)]
  const firmware = Buffer.alloc(firmwareBytes)
  firmware.set(loader(whole.length), 0)
  firmware.set(whole, programOffset)
  firmware.set(reset, resetOffset)
  return firmware
}
